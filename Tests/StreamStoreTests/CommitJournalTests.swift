import StreamProtocol
import StreamStore
import TestStore
import Testing

extension TestStore {
    /// Appends as clients do: in a group of nothing but appends.
    @discardableResult
    fileprivate func appendOnly(_ request: AppendRequest) throws -> AppendOutcome {
        let outcomes = Mailbox<Result<AppendOutcome, StoreError>>()
        committer.append(request, completeOn: nil) { outcomes.deliver($0) }
        return try #require(outcomes.collect(1)?.first).get()
    }
}

extension StoreReader {
    /// Length and content, which both have to be so long.
    fileprivate func check(_ path: String, _ length: Int) throws {
        guard case .present(let found) = try find(.named(path), now: TestClock.start) else {
            Issue.record("\(path) is there")
            return
        }
        #expect(found.tail == Int64(length))
        #expect(try piece(path)?.content.count == length)
    }
}

/// A reader that hears of its process's commits keeps what they have not changed, and nothing else.
@Suite struct CommitJournalTests {
    @Test func whatOthersGetIsNoReasonToForget() throws {
        let store = try TestStore()
        let reader = try store.hearingReader()
        for name in ["s", "other"] { try store.create(.make(name, body: "a")) }
        try reader.check("s", 1)
        let transactions = reader.transactions
        // More than are remembered, but never that many between two looks.
        for number in 1...100 {
            try store.appendOnly(.make("other", "b"))
            if number % 5 == 0 { try reader.check("s", 1) }
        }
        #expect(reader.transactions == transactions)
        try store.appendOnly(.make("s", "b"))
        try reader.check("s", 2)
        try reader.check("other", 101)
        #expect(reader.transactions > transactions)
    }

    @Test func whoDoesNotLookForLongReadsAnew() throws {
        let store = try TestStore()
        let reader = try store.hearingReader()
        for name in ["s", "other"] { try store.create(.make(name, body: "a")) }
        try reader.check("s", 1)
        try store.appendOnly(.make("s", "b"))
        for _ in 0..<100 { try store.appendOnly(.make("other", "b")) }
        try reader.check("s", 2)
    }

    /// Whatever is no append may have changed anything: it is not looked at closely.
    @Test func everythingElseIsSeen() throws {
        let store = try TestStore()
        let reader = try store.hearingReader()
        for name in ["s", "other"] { try store.create(.make(name, body: "a")) }
        for _ in 0..<3 {
            try reader.check("s", 1)
            try store.appendOnly(.make("other", "b"))
            try store.delete("s")
            try store.appendOnly(.make("other", "b"))
            #expect(try reader.piece("s") == nil)
            try store.create(.make("s", body: "c"))
            try store.appendOnly(.make("other", "b"))
            #expect(try reader.everything("s") == Array("c".utf8))
        }
    }

    /// An append changes more than content: it closes, it renews a deadline also where it stores nothing, and it removes
    /// what has expired.
    @Test func whatElseAnAppendChangesIsSeen() throws {
        let store = try TestStore()
        let reader = try store.hearingReader()
        let start = TestClock.start
        func deadline() throws -> Int64? { try reader.piece("s", now: start)?.state.deadline }
        try store.create(.make("s", body: "a", lifetime: .window(seconds: 10)))
        try store.create(.make("closed", body: "a"))
        let tuple = ProducerTuple(id: "p", epoch: 0, sequence: 0)
        try store.appendOnly(.make("s", "b", producer: tuple))
        let first = try #require(try deadline())
        #expect(try store.appendOnly(.make("s", "b", producer: tuple, now: start + 5_000)).verdict != nil)
        #expect(try #require(try deadline()) >= first + 4_000)
        #expect(try reader.piece("closed")?.reachesClosedTail == false)
        try store.appendOnly(.make("closed", closes: true))
        #expect(try reader.piece("closed")?.reachesClosedTail == true)
        #expect(try store.appendOnly(.make("s", "c", now: start + 60_000)).isAbsent)
        #expect(try reader.piece("s", now: start) == nil, "it has been removed")
    }

    /// What one append removes counts for another stream, of which nothing else has changed.
    @Test func anotherStreamsForksAreSeen() throws {
        let store = try TestStore()
        let reader = try store.hearingReader()
        try store.create(.make("source", body: "a"))
        try store.create(
            CreateRequest(
                name: .named("fork"), contentType: "text/plain", lifetime: .window(seconds: 10),
                closed: false,
                body: .none, now: TestClock.start,
                fork: ForkRequest(source: .named("source"), offset: nil, subOffset: 0)))
        #expect(try reader.piece("source")?.state.forks == 1)
        #expect(try store.appendOnly(.make("fork", "x", now: TestClock.start + 60_000)).isAbsent)
        #expect(try reader.piece("source")?.state.forks == 0)
    }

    /// A commit of another connection, which nobody notes.
    @Test func changesOfTheRegistryAreSeen() throws {
        let store = try TestStore()
        let reader = try store.hearingReader()
        for name in ["s", "other"] { try store.create(.make(name, body: "a")) }
        let registry = try RegistryWriter(store.files)
        for number in 1...3 {
            try store.appendOnly(.make("other", "b"))
            let before = try #require(try reader.piece("s")?.state.readerGeneration)
            try registry.rotateReaderKey(of: .named("s"))
            if number % 2 == 0 { try store.appendOnly(.make("other", "b")) }
            #expect(try reader.piece("s")?.state.readerGeneration == before + 1)
        }
    }

    /// Two processes commit in any order, and the reader of one never misses a commit of the other.
    @Test(arguments: 0..<8) func commitsOfAnotherProcessAreSeen(seed: UInt64) throws {
        let folder = try TemporaryFolder()
        let stores = [try TestStore(folder), try TestStore(folder)]
        let reader = try stores[0].hearingReader()
        let names = ["s", "t", "u", "v"]
        for name in names { try stores[0].create(.make(name)) }
        var lengths = [0, 0, 0, 0]
        var random = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        var (reads, before) = (0, 0)
        func next(below limit: UInt64) -> Int {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((random >> 33) % limit)
        }
        before = reader.transactions
        for _ in 0..<400 {
            let index = next(below: 4)
            // The other one seldom, so that there is something to remember.
            let store = stores[next(below: 10) == 0 ? 1 : 0]
            try store.appendOnly(.make(names[index], "x"))
            lengths[index] += 1
            for _ in 0..<next(below: 4) {
                let index = next(below: 4)
                try reader.check(names[index], lengths[index])
                reads += 2
            }
        }
        #expect(reader.transactions - before < reads, "something was remembered")
    }

    /// The same while this process commits all the time, at any moment.
    @Test func commitsOfAnotherProcessAreSeenAtAnyMoment() throws {
        let folder = try TemporaryFolder()
        let (mine, other) = (try TestStore(folder), try TestStore(folder))
        let reader = try mine.hearingReader()
        for name in ["s", "mine", "busy"] { try mine.create(.make(name)) }
        let isDone = Condition(false)
        let thread = NamedThread("busy") {
            while !isDone.update({ (false, $0) }) { _ = try? mine.appendOnly(.make("busy", "x")) }
        }
        for number in 1...300 {
            try other.appendOnly(.make("s", "x"))
            try reader.check("s", number)
            try mine.appendOnly(.make("mine", "x"))
            try reader.check("mine", number)
            try reader.check("s", number)
        }
        isDone.update { ($0 = true, (true, ())).1 }
        thread.join()
    }
}
