import StreamProtocol
import StreamStore
import TestStore
import Testing

/// Rows of the index that name several records.
@Suite struct IndexRunTests {
    private static func extend(_ store: TestStore, _ limit: Int = 10_000) throws -> Int {
        try store.committer.perform { (session) throws(StoreError) in
            try session.extendIndex(limit: limit, rotateAt: SegmentLimits(messages: 1))
        }
    }

    /// More records than one row names, between those of another stream: every position leads to its record.
    @Test(arguments: [1, 55, 56, 57, 58, 112, 113, 200]) func readsBeginAnywhere(count: Int) throws {
        let store = try TestStore()
        try store.create(.make("s"))
        try store.create(.make("other"))
        var all = ""
        for number in 0..<count {
            let body = "\(number);"
            all += body
            try store.append(.make("s", body))
            try store.append(.make("other", "?"))
        }
        let early = try store.reader()
        #expect(text(try early.everything("s")) == all)
        #expect(try Self.extend(store) == 2 * count)
        let late = try store.reader()
        let bytes = Array(all.utf8)
        for reader in [early, late] {
            for position in stride(from: 0, through: bytes.count, by: count > 100 ? 7 : 1) {
                let piece = try #require(try reader.piece("s", from: Int64(position), limit: 5))
                #expect(piece.content == Array(bytes[position..<Int(piece.end)]))
                #expect(position == bytes.count || !piece.isEmpty)
            }
            #expect(text(try reader.everything("s")) == all)
        }
        #expect(try Self.extend(store) == 0)
        #expect(try store.append(.make("s", "!")).acceptedTail == Int64(bytes.count + 1))
        #expect(text(try late.everything("s")) == all + "!")
    }

    /// A step ends before the first record of one stream too many, and the next goes on there.
    @Test func stepsTouchFewStreams() throws {
        let store = try TestStore()
        for number in 0..<300 { try store.create(.make("s\(number)", body: "\(number)")) }
        try store.append(.make("s0", "more"))
        let reader = try store.reader()
        _ = try reader.everything("s7")
        let first = try Self.extend(store)
        #expect((200..<300).contains(first))
        #expect(text(try reader.everything("s0")) == "0more")
        #expect(text(try store.reader().everything("s0")) == "0more")
        #expect(try Self.extend(store) == 301 - first)
        #expect(try Self.extend(store) == 0)
        for number in 0..<300 {
            let expected = number == 0 ? "0more" : "\(number)"
            #expect(text(try reader.everything("s\(number)")) == expected)
        }
    }

    /// The limit of a step may fall anywhere in what a stream has.
    @Test(arguments: [1, 3, 60]) func stepsMayBeSmall(limit: Int) throws {
        let store = try TestStore()
        try store.create(.make("s"))
        let bodies = (0..<130).map { "\($0)," }
        for body in bodies { try store.append(.make("s", body)) }
        let reader = try store.reader()
        var entered = 0
        while entered < bodies.count {
            let step = try Self.extend(store, limit)
            #expect((1...limit).contains(step))
            entered += step
            #expect(text(try reader.everything("s")) == bodies.joined())
        }
        #expect(text(try store.reader().everything("s")) == bodies.joined())
    }

    /// What only one of two writers has inserted, the other enters; both go on behind it.
    @Test func anotherProcessEntersThem() throws {
        let store = try TestStore()
        try store.create(.make("s"))
        let other = try GroupCommitter(
            store.files,
            hooks: GroupCommitter.Hooks(
                committed: { _ in }, poisoned: { Issue.record("\($0)") }, failed: { Issue.record("\($0)") }))
        defer { other.stop() }
        var all = ""
        for number in 0..<40 {
            all += "\(number) "
            try store.append(.make("s", "\(number) "))
            if number % 8 == 7 {
                let entered = try other.perform { (session) throws(StoreError) in
                    try session.extendIndex(limit: 3, rotateAt: SegmentLimits(messages: 1))
                }
                #expect(entered == 3)
            }
            #expect(text(try store.reader().everything("s")) == all)
        }
        #expect(try Self.extend(store) == 25)
        #expect(text(try store.reader().everything("s")) == all)
    }
}
