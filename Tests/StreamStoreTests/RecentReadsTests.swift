import StreamProtocol
import StreamStore
import TestStore
import Testing

extension StoreReader {
    /// The position of a stream's tail, found without reading; nil when there is no stream.
    fileprivate func tail(_ path: String) throws(StoreError) -> Int64? {
        guard case .present(let found) = try find(.named(path), now: TestClock.start) else { return nil }
        return found.tail
    }
}

/// What a reader remembers between commits is never what a commit has changed.
@Suite struct RecentReadsTests {
    @Test(arguments: [false, true]) func eachCommitIsSeen(hears: Bool) throws {
        let store = try TestStore()
        let reader = try hears ? store.hearingReader() : store.reader()
        try store.create(.make("s", body: "a"))
        try store.create(.make("other"))
        for text in ["ab", "abc", "abcd"] {
            for _ in 0..<2 { #expect(try reader.everything("s") == Array(text.utf8.dropLast())) }
            try store.append(.make("s", String(text.suffix(1))))
            try store.append(.make("other", "x"))
            // The tail alone, then the same with content from two positions and with two limits.
            #expect(try reader.tail("s") == Int64(text.utf8.count))
            for (position, limit) in [(0, 100), (0, 1), (1, 100), (1, 1), (0, 100)] {
                let piece = try #require(try reader.piece("s", from: Int64(position), limit: limit))
                #expect(piece.content == Array(text.utf8.dropFirst(position).prefix(limit)))
                #expect(piece.tail == Int64(text.utf8.count))
            }
        }
        try store.append(.make("s", closes: true))
        #expect(try #require(try reader.piece("s", from: 4)).reachesClosedTail)
        try store.delete("s")
        #expect(try reader.piece("s") == nil)
        try store.create(.make("s", body: "new"))
        #expect(try reader.everything("s") == Array("new".utf8))
    }

    @Test func commitsOfAnotherConnectionAreSeen() throws {
        let folder = try TemporaryFolder()
        let first = try TestStore(folder)
        let second = try TestStore(folder)
        let reader = try first.reader()
        try first.create(.make("s"))
        for number in 1...50 {
            #expect(try reader.tail("s") == Int64(number - 1))
            try second.append(.make("s", "x"))
            #expect(try reader.tail("s") == Int64(number))
            #expect(try reader.everything("s")?.count == number)
        }
    }

    /// Time passes without commits.
    @Test func endIsSeen() throws {
        let store = try TestStore()
        let reader = try store.reader()
        try store.create(.make("s", body: "a", lifetime: .window(seconds: 10)))
        let end = TestClock.start + 10_000
        for now in [TestClock.start, end - 1] {
            #expect(try reader.piece("s", now: now)?.content == Array("a".utf8))
        }
        #expect(try reader.piece("s", now: end) == nil)
        #expect(reader.takeExpired()?.path == "s")
        guard case .absent = try reader.find(.named("s"), now: end) else {
            Issue.record("it has ended")
            return
        }
    }

    /// What was rolled back was never there.
    @Test func failedGroupIsNotSeen() throws {
        let store = try TestStore()
        let reader = try store.reader()
        try store.create(.make("s", body: "a"))
        #expect(try reader.tail("s") == 1)
        #expect(throws: StoreError.self) {
            try store.committer.perform { (session) throws(StoreError) in
                _ = try session.append(.make("s", "lost"))
                throw StoreError(kind: .failed, "by the test")
            }
        }
        #expect(try reader.tail("s") == 1)
        #expect(try reader.everything("s") == Array("a".utf8))
    }
}

/// The same for who asks by id, as readers do that wait.
@Suite struct RecentReadsByIDTests {
    private func read(_ reader: StoreReader, _ id: Int64, from position: Int64) throws -> StreamPiece? {
        let now = TestClock.start
        guard case .present(let piece) = try reader.read(id: id, now: now, from: position, limit: 100)
        else { return nil }
        return piece
    }

    @Test func eachCommitIsSeen() throws {
        let folder = try TemporaryFolder()
        let store = try TestStore(folder)
        let other = try TestStore(folder)
        let reader = try store.reader()
        try store.create(.make("s"))
        let id = try #require(try reader.piece("s", from: 0)).state.id
        for (number, writer) in [store, other, store, other].enumerated() {
            let tail = Int64(number)
            // At the tail, behind it, and before it.
            for _ in 0..<2 {
                #expect(try #require(try read(reader, id, from: tail)).isEmpty)
                #expect(try #require(try read(reader, id, from: tail + 5)).end == tail)
                #expect(try #require(try read(reader, id, from: 0)).content.count == number)
                #expect(reader.recall(.named("s"), now: TestClock.start)?.tail == tail)
            }
            try writer.append(.make("s", "x"))
            #expect(reader.recall(.named("s"), now: TestClock.start) == nil)
            let piece = try #require(try read(reader, id, from: tail))
            #expect(piece.content == Array("x".utf8) && piece.tail == tail + 1)
        }
        try other.append(.make("s", closes: true))
        #expect(try #require(try read(reader, id, from: 4)).reachesClosedTail)
        try store.delete("s")
        #expect(try read(reader, id, from: 4) == nil)
        try store.create(.make("s", body: "another"))
        #expect(try reader.everything("s") == Array("another".utf8))
        #expect(try read(reader, id, from: 0) == nil, "the former stream is gone")
    }

    /// What is put together without the disk is what the disk would give.
    @Test(arguments: ["text/plain", "application/json"])
    func nothingAtTheTail(contentType: String) throws {
        let store = try TestStore()
        try store.create(.make("s", type: contentType))
        let fresh = try #require(try store.reader().piece("s", from: 0))
        let reader = try store.reader()
        guard case .present = try reader.find(.named("s"), now: TestClock.start) else { throw NotThere() }
        for piece in [try reader.piece("s", from: 0), try read(reader, fresh.state.id, from: 0)] {
            let piece = try #require(piece)
            #expect(piece.content == fresh.content && piece.isEmpty && piece.tail == fresh.tail)
        }
    }

    /// Time passes without commits.
    @Test func endIsSeen() throws {
        let store = try TestStore()
        let reader = try store.reader()
        try store.create(.make("s", lifetime: .window(seconds: 10)))
        let id = try #require(try reader.piece("s", from: 0)).state.id
        let end = TestClock.start + 10_000
        guard case .present = try reader.read(id: id, now: end - 1, from: 0, limit: 1) else {
            throw NotThere()
        }
        guard case .absent = try reader.read(id: id, now: end, from: 0, limit: 1) else {
            Issue.record("it has ended")
            return
        }
        #expect(reader.recall(.named("s"), now: end) == nil)
    }

    struct NotThere: Error {}
}
