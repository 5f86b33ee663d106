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
