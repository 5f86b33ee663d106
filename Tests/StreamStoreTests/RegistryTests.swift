import StreamProtocol
import StreamStore
import TestStore
import Testing

/// The registry of projects, and what is counted for them.
@Suite struct RegistryTests {
    private static let quota = ProjectQuota(streams: 3, bytes: 100)

    private func registered(_ store: TestStore, _ name: String = StreamName.defaultProject) throws {
        _ = try RegistryWriter(store.files).create(name, sealed: [1], now: 0)
    }

    private func usage(_ store: TestStore, _ name: String = StreamName.defaultProject) throws -> ProjectUsage?
    {
        try RegistryReader(store.files).usages()[name]
    }

    @Test func whatWasThereBeforeIsCounted() throws {
        let store = try TestStore()
        for name in ["a", "b"] { try store.create(.make(name, body: "four")) }
        _ = try store.committer.perform { (session) throws(StoreError) in try session.extendIndex(limit: 1) }
        try registered(store)
        #expect(try usage(store) == ProjectUsage(streams: 2, bytes: 8))
        #expect(try usage(store, "other") == nil)
    }

    @Test func countsFollowStreams() throws {
        let store = try TestStore()
        try registered(store)
        try store.create(.make("a", body: "12345"))
        #expect(try usage(store) == ProjectUsage(streams: 1, bytes: 5))
        while try store.committer.perform({ (session) throws(StoreError) in try session.extendIndex(limit: 1)
        }) > 0 {}
        #expect(try usage(store) == ProjectUsage(streams: 1, bytes: 5))
        _ = try store.delete("a")
        #expect(try usage(store) == ProjectUsage())
    }

    @Test func projectsWithNamesThatBeginAlikeAreCountedApart() throws {
        let store = try TestStore()
        for name in ["a", "a.b", "a-b", "a0"] {
            let create = CreateRequest(
                name: StreamName(project: name, path: "s"), contentType: nil, lifetime: .unlimited,
                closed: false,
                body: .bytes([0x78]), now: TestClock.start)
            _ = try store.committer.perform { (session) throws(StoreError) in try session.create(create) }
        }
        try registered(store, "a")
        #expect(try usage(store, "a") == ProjectUsage(streams: 1, bytes: 1))
    }

    @Test func quotasCountWhatCameAMomentAgo() throws {
        let store = try TestStore()
        try registered(store)
        try store.create(.make("a"))
        func append(_ count: Int, to name: String = "a") throws -> AppendOutcome {
            let request = AppendRequest(
                name: .named(name),
                conditions: AppendConditions(
                    hasBody: true, closes: false, mediaType: MediaType(contentType: "text/plain"),
                    producer: nil,
                    streamSequence: nil),
                body: .bytes([UInt8](repeating: 0x78, count: count)), now: TestClock.start,
                quota: RegistryTests.quota)
            return try store.committer.perform { (session) throws(StoreError) in try session.append(request) }
        }
        for count in [60, 40] {
            guard case .accepted = try append(count) else { throw Unexpected("refused") }
        }
        guard case .overQuota = try append(1) else { throw Unexpected("accepted") }
        _ = try store.committer.perform { (session) throws(StoreError) in try session.extendIndex(limit: 1) }
        guard case .overQuota = try append(1) else { throw Unexpected("accepted") }
        _ = try store.delete("a")
        try store.create(.make("b"))
        guard case .accepted = try append(100, to: "b") else { throw Unexpected("refused") }
    }

    @Test func everyChangeRaisesTheVersion() throws {
        let store = try TestStore()
        let (writer, reader) = (try RegistryWriter(store.files), try RegistryReader(store.files))
        var versions = [try reader.currentVersion()]
        let first = try writer.create("p", sealed: [1], now: 5)
        versions.append(try reader.currentVersion())
        let second = try writer.addSecret([2], to: "p", now: 6)
        versions.append(try reader.currentVersion())
        try writer.setOrigins(["*"], of: "p")
        try writer.setQuota(RegistryTests.quota, of: "p")
        try writer.rotateReaderKeys(of: "p")
        versions.append(try reader.currentVersion())
        #expect(versions == versions.sorted() && Set(versions).count == versions.count)
        let project = try #require(try reader.load().projects.first)
        #expect(project.secrets.map(\.id) == [second, first] && project.secrets[0].sealed == [2])
        #expect(
            project.origins == ["*"] && project.quota == RegistryTests.quota && project.readerGeneration == 1)
    }

    @Test func theLastSecretStays() throws {
        let store = try TestStore()
        let writer = try RegistryWriter(store.files)
        let first = try writer.create("p", sealed: [1], now: 0)
        #expect(kind { try writer.removeSecret(first, of: "p") } == .inUse)
        #expect(kind { try writer.removeSecret(first + 1, of: "p") } == .absent)
        #expect(kind { try writer.removeSecret(first, of: "q") } == .absent)
        #expect(kind { _ = try writer.create("p", sealed: [1], now: 0) } == .occupied)
    }

    private func kind(_ body: () throws -> Void) -> StoreError.Kind? {
        do { try body() } catch { return (error as? StoreError)?.kind }
        return nil
    }
}
