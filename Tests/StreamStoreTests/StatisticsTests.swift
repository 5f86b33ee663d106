import StreamProtocol
import StreamStore
import TestStore
import Testing

/// What is counted of the store, while it is written and in looks at all of it.
@Suite struct StatisticsTests {
    private static func totals(_ statistics: StoreStatistics) throws -> StoreStatistics.Totals {
        while true {
            if let found = try statistics.step() { return found }
        }
    }

    /// More streams than one step looks at, some soft-deleted; hot content in the index and behind it.
    @Test func aPassCountsEverythingOnce() throws {
        let store = try TestStore()
        try store.committer.perform { (session) throws(StoreError) in
            for number in 0..<2_500 {
                _ = try session.create(.make("s/\(number)", body: number < 1_100 ? "12345" : ""))
            }
        }
        try store.create(.make("json", type: "application/json", body: "[1,2,3]"))
        let statistics = try StoreStatistics(store.files)
        var found = try Self.totals(statistics)
        #expect(found.streams == 2_501)
        #expect(found.hotMessages == 1_100 + 3)
        #expect(found.hotBytes == 1_100 * 5 + 5)
        _ = try store.committer.perform { (session) throws(StoreError) in
            try session.extendIndex(limit: 1_024)
        }
        let again = try Self.totals(statistics)
        #expect((again.hotMessages, again.hotBytes) == (1_103, 5_505), "now most of it is in the index")
        for number in 0..<10 { try store.delete("s/\(number)") }
        found = try Self.totals(statistics)
        #expect(found.streams == 2_491)
        #expect(found.purgeBacklog == 10)
        #expect((found.segments, found.coldBytes, found.projects) == (0, 0, 0))
    }

    @Test func anEmptyStoreHasNothing() throws {
        let store = try TestStore()
        #expect(try Self.totals(StoreStatistics(store.files)) == StoreStatistics.Totals())
    }

    /// Each transaction says what it has done; what was rolled back does not count.
    @Test func transactionsTellWhatTheyDid() throws {
        let store = try TestStore()
        try store.create(.make("a", body: "123"))
        try store.create(.make("j", type: "application/json", body: "[1,2]"))
        try store.append(.make("a", "4567"))
        try store.append(.make("none", "x"))
        try store.delete("a")
        #expect(throws: StoreError.self) {
            try store.committer.perform { (session) throws(StoreError) in
                _ = try session.append(.make("j", "[7]", type: "application/json"))
                throw StoreError(kind: .failed, "a test")
            }
        }
        let tallies = store.groups.map(\.tally)
        func sum(_ value: (WriteTally) -> Int) -> Int { tallies.map(value).reduce(0, +) }
        #expect(sum(\.created) == 2)
        #expect(sum(\.appends) == 3)
        #expect(sum(\.messages) == 1 + 2 + 1)
        #expect(sum(\.bytes) == 3 + 3 + 4)
        #expect(sum(\.deleted) == 1)
        #expect(
            store.groups.allSatisfy {
                $0.requests == 1 && $0.commit > 0 && $0.waited >= 0 && $0.lockWait >= 0
            })
        #expect(store.queued == 0)
    }
}
