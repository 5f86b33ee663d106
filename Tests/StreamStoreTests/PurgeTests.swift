import StreamProtocol
import StreamStore
import TestStore
import Testing

@Suite struct PurgeTests {
    private static func step(_ store: TestStore, _ limit: Int) throws -> Bool {
        _ = try store.committer.perform { (session) throws(StoreError) in
            try session.extendIndex(limit: 1_000)
        }
        return try store.committer.perform { (session) throws(StoreError) in
            try session.purge(StepBudget(rows: limit), now: TestClock.start).goesOn
        }
    }

    @Test func rowsGoInSteps() throws {
        let store = try TestStore()
        try store.create(.make("big"))
        try store.create(.make("kept", body: "kept"))
        for number in 0..<100 {
            let producer = ProducerTuple(id: "p\(number)", epoch: 0, sequence: 0)
            try store.append(.make("big", "\(number)", producer: producer))
        }
        try store.append(.make("kept", "!"))
        #expect(try Self.step(store, 10) == false)
        try store.delete("big")
        var steps = 0
        while try Self.step(store, 10) {
            steps += 1
            #expect(text(try store.reader().everything("kept")) == "kept!")
            guard steps < 1_000 else { break }
        }
        // 100 records and 100 producers, 10 at most in each step; the last one is not counted.
        #expect((19...30).contains(steps))
        #expect(try Self.step(store, 10) == false)
        #expect(try store.append(.make("kept", "?")).acceptedTail == 6)
    }

    @Test func aReCreatedStreamIsNotPurged() throws {
        let store = try TestStore()
        for round in 0..<3 {
            #expect(try store.create(.make("s", body: "\(round)")).created != nil)
            for number in 0..<20 { try store.append(.make("s", "[\(number)]")) }
            try store.delete("s")
        }
        try store.create(.make("s", body: "last"))
        var steps = 0
        while try Self.step(store, 7), steps < 100 { steps += 1 }
        #expect(steps > 3)
        #expect(text(try store.reader().everything("s")) == "last")
    }

    /// Numbers of removed rows may be given again: neither an open reader nor a writer may miss the new ones.
    @Test func whatIsWrittenBehindAPurgeIsSeen() throws {
        let store = try TestStore()
        let reader = try store.reader()
        for round in 0..<4 {
            try store.create(.make("s"))
            for number in 0..<10 { try store.append(.make("s", "\(number)")) }
            #expect(text(try reader.everything("s")) == "0123456789", "round \(round)")
            try store.delete("s")
            while try Self.step(store, 100) {}
            #expect(try reader.piece("s") == nil)
            try store.create(.make("t\(round)", body: "ab"))
            try store.append(.make("t\(round)", "cd"))
            #expect(text(try reader.everything("t\(round)")) == "abcd", "round \(round)")
            #expect(text(try store.reader().everything("t\(round)")) == "abcd", "round \(round)")
        }
        for round in 0..<4 { #expect(text(try reader.everything("t\(round)")) == "abcd") }
    }

    @Test func choresSweepAndPurgeByThemselves() throws {
        let store = try TestStore()
        let clock = TestClock()
        let reports = Mailbox<String>()
        try store.create(.make("s", body: "x", lifetime: .window(seconds: 1)))
        clock.advance(by: 1_000)
        let removed = store.commits.count + 1
        let chores = try Chores(
            store.files, committer: store.committer, sweepInterval: 30, clock: { clock.now },
            report: { reports.deliver("\($0)") })
        // The sweep is seen by the commit that it makes.
        #expect(store.waitForCommits(removed))
        #expect(try store.reader().piece("s", now: TestClock.start) == nil)
        chores.stop()
        #expect(reports.received.isEmpty)
    }

    @Test func sweepIsDueAnIntervalBehindTheBeginningOfTheLast() throws {
        let store = try TestStore()
        let clock = TestClock()
        // More than fit in one slice of the chores.
        let names = (0..<400).map { "s\($0)" }
        for name in names { try store.create(.make(name, lifetime: .window(seconds: 1))) }
        clock.advance(by: 1_000)
        let removed = store.commits.count + 1
        let chores = try Chores(
            store.files, committer: store.committer, sweepInterval: 3_700, clock: { clock.now },
            report: { _ in })
        #expect(store.waitForCommits(removed))
        // An hour goes by while the first sweep does.
        clock.advance(by: 3_600_000)
        let reader = try store.reader()
        while true {
            let count = store.commits.count
            guard try names.contains(where: { try reader.piece($0, now: TestClock.start) != nil }) else {
                break
            }
            try #require(store.waitForCommits(count + 1))
        }
        try store.create(.make("late", lifetime: .window(seconds: 1), now: clock.now))
        let swept = store.commits.count + 1
        clock.advance(by: 200_000)
        #expect(store.waitForCommits(swept))
        #expect(try reader.piece("late", now: TestClock.start) == nil)
        chores.stop()
    }

    @Test func oneDoesTheChores() throws {
        let store = try TestStore()
        let clock = TestClock()
        let first = try Chores(
            store.files, committer: store.committer, sweepInterval: 0.001, clock: { clock.now },
            report: { _ in })
        try store.create(.make("a", lifetime: .window(seconds: 1)))
        var count = store.commits.count
        clock.advance(by: 1_000)
        #expect(store.waitForCommits(count + 1))
        let swept = Mailbox<Void>()
        let second = try Chores(
            store.files, committer: store.committer, sweepInterval: 0.001,
            clock: {
                swept.deliver(())
                return clock.now
            }, report: { _ in })
        try store.create(.make("b", lifetime: .window(seconds: 1), now: clock.now))
        count = store.commits.count
        clock.advance(by: 1_000)
        #expect(store.waitForCommits(count + 1))
        #expect(swept.received.isEmpty)
        // The second takes over when the first ends.
        first.stop()
        #expect(swept.collect(1) != nil)
        second.stop()
    }
}
