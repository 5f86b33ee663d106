import StreamProtocol
import StreamStore
import TestStore
import Testing

/// Holds the committing thread inside a transaction, so that a test decides what waits behind it.
final class Gate: Sendable {
    private let state = Condition((entered: false, open: false))

    /// Submits a write that stays in its transaction until `open`; returns once it is there.
    init(_ committer: GroupCommitter) {
        committer.submit { [state] (_) throws(StoreError) in
            state.update { ($0.entered = true, (true, ())).1 }
            _ = state.wait { $0.open ? true : nil }
        } complete: { _ in
        }
        _ = state.wait { $0.entered ? true : nil }
    }

    func open() { state.update { ($0.open = true, (true, ())).1 } }
}

@Suite struct GroupCommitTests {
    @Test func whatWaitsTogetherIsOneTransaction() throws {
        let store = try TestStore()
        for index in 0..<3 { try store.create(.make("s\(index)")) }
        let before = store.commits.count
        let gate = Gate(store.committer)
        let done = Mailbox<Int64?>()
        for number in 0..<30 {
            let request = AppendRequest.make("s\(number % 3)", "x")
            store.committer.submit { (session) throws(StoreError) in
                try session.append(request)
            } complete: { result in
                done.deliver(try? result.get().acceptedTail)
            }
        }
        #expect(done.received.isEmpty)
        gate.open()
        let tails = try #require(done.collect(30))
        #expect(store.commits.count == before + 1)
        #expect(Set(store.commits.last?.map(\.id) ?? []).count == 3)
        // The order is that of submission.
        let expected: [Int64?] = (0..<30).map { number in Int64(number / 3 + 1) }
        #expect(tails == expected)
    }

    /// A commit says what it has appended where that is all that it has done with a stream, and little.
    @Test func appendsAreTold() throws {
        let store = try TestStore()
        for name in ["a", "b"] { try store.create(.make(name)) }
        try store.create(.make("j", type: "application/json"))
        func append(_ request: AppendRequest) throws -> Appended? {
            try store.append(request)
            let changes = try #require(store.commits.last)
            #expect(changes.count == 1)
            return changes.first?.appended
        }
        #expect(try append(.make("a", "abc")) == Appended(start: 0, end: 3, payload: Array("abc".utf8)))
        #expect(try append(.make("a", "de")) == Appended(start: 3, end: 5, payload: Array("de".utf8)))
        let json = try append(.make("j", "[1, {\"a\":2}]", type: "application/json"))
        #expect(json?.start == 0 && json?.end == 2 && json.map { text($0.payload) } == "1,{\"a\":2}")
        let large = String(repeating: "x", count: Appended.limit)
        #expect(try append(.make("a", large))?.payload.count == Appended.limit)
        #expect(try append(.make("a", large + "x")) == nil)
        #expect(try append(.make("a", "last", closes: true)) == nil)
        #expect(try append(.make("b", closes: true)) == nil)
    }

    @Test func severalAppendsToAStreamAreLookedFor() throws {
        let store = try TestStore()
        for name in ["a", "b"] { try store.create(.make(name)) }
        let gate = Gate(store.committer)
        let done = Mailbox<Bool>()
        for name in ["a", "a", "b"] {
            store.committer.append(.make(name, "xy"), completeOn: nil) {
                done.deliver((try? $0.get()) != nil)
            }
        }
        gate.open()
        #expect(done.collect(3) == [true, true, true])
        #expect(
            store.commits.last?.map(\.appended) == [
                nil, Appended(start: 0, end: 2, payload: Array("xy".utf8)),
            ])
    }

    @Test func nothingOfAGroupIsVisibleBeforeItsCommit() throws {
        let store = try TestStore()
        try store.create(.make("s"))
        let reader = try store.reader()
        let applied = Condition(false)
        let release = Condition(false)
        let done = Mailbox<Bool>()
        store.committer.submit { (session) throws(StoreError) in
            let outcome = try session.append(.make("s", "abc"))
            applied.update { ($0 = true, (true, ())).1 }
            _ = release.wait { $0 ? true : nil }
            return outcome
        } complete: { _ in
            done.deliver((try? store.reader().piece("s")?.tail) == 3)
        }
        _ = applied.wait { $0 ? true : nil }
        #expect(try reader.piece("s")?.tail == 0)
        release.update { ($0 = true, (true, ())).1 }
        #expect(done.collect(1) == [true])
        #expect(text(try reader.piece("s")?.content) == "abc")
    }

    @Test func aFailingMemberDoesNotFailItsNeighbours() throws {
        let store = try TestStore()
        try store.create(.make("s"))
        let gate = Gate(store.committer)
        let done = Mailbox<String>()
        for number in 0..<9 {
            store.committer.submit { (session) throws(StoreError) in
                let outcome = try session.append(.make("s", "\(number)"))
                // Even what a failing member has done before it failed must vanish.
                if number == 4 { throw StoreError(kind: .failed, "on purpose") }
                return outcome
            } complete: { result in
                switch result {
                case .success(let outcome): done.deliver("\(number)@\(outcome.acceptedTail ?? -1)")
                case .failure(let error): done.deliver("\(number): \(error)")
                }
            }
        }
        gate.open()
        let letters = try #require(done.collect(9))
        #expect(
            letters == ["0@1", "1@2", "2@3", "3@4", "4: on purpose", "5@5", "6@6", "7@7", "8@8"])
        #expect(store.failures == ["on purpose"])
        #expect(text(try store.reader().piece("s")?.content) == "01235678")
        #expect(try store.append(.make("s", "!")).acceptedTail == 9)
    }

    @Test func aRefusedMemberChangesNothing() throws {
        let store = try TestStore()
        try store.create(.make("j", type: "application/json"))
        let type = "application/json"
        let tuple = ProducerTuple(id: "p", epoch: 0, sequence: 0)
        let invalid = try store.append(
            .make("j", "[1,", type: type, closes: true, producer: tuple, sequence: "b"))
        guard case .invalidJSON = invalid else { throw Unexpected(invalid) }
        let empty = try store.append(
            .make("j", "[]", type: type, closes: true, producer: tuple, sequence: "b"))
        guard case .emptyArray = empty else { throw Unexpected(empty) }
        // Neither the producer's number nor the sequence was used up, and the stream is open.
        let outcome = try store.append(.make("j", "[1,2]", type: type, producer: tuple, sequence: "a"))
        #expect(outcome.acceptedTail == 2)
    }

    @Test func closingTheStoreCommitsWhatWaitsAndRefusesTheRest() throws {
        let store = try TestStore()
        try store.create(.make("s"))
        let done = Mailbox<Bool>()
        for _ in 0..<50 {
            store.committer.submit { (session) throws(StoreError) in
                try session.append(.make("s", "x"))
            } complete: { result in
                done.deliver((try? result.get()) != nil)
            }
        }
        store.committer.stop()
        #expect(done.received == Array(repeating: true, count: 50))
        #expect(throws: StoreError.self) { try store.append(.make("s", "late")) }
        #expect(try store.reader().piece("s")?.tail == 50)
    }

    @Test func hooksNameWhatACommitChanged() throws {
        let store = try TestStore()
        let one = try #require(try store.create(.make("one")).created)
        let two = try #require(try store.create(.make("two")).created)
        var seen = store.commits.count
        func changes(_ work: () throws -> Void) rethrows -> Set<Int64> {
            try work()
            defer { seen = store.commits.count }
            return Set(store.commits[seen...].joined().map(\.id))
        }
        #expect(try changes { try store.append(.make("one", "x")) } == [one.id])
        #expect(try changes { try store.append(.make("two", closes: true)) } == [two.id])
        #expect(try changes { try store.append(.make("two", "x")) } == [])
        #expect(try changes { try store.append(.make("none", "x")) } == [])
        #expect(try changes { try store.delete("one") } == [one.id])
        #expect(try changes { try store.delete("one") } == [])
    }

    @Test func manyThreadsAtOnce() throws {
        let store = try TestStore()
        try store.create(.make("s"))
        let threads = (0..<8).map { thread in
            NamedThread("writer") {
                for number in 0..<50 {
                    _ = try? store.append(.make("s", "\(thread):\(number)\n"))
                }
            }
        }
        for thread in threads { thread.join() }
        let lines = try #require(text(try store.reader().everything("s"))).split(separator: "\n")
        #expect(lines.count == 400)
        for thread in 0..<8 {
            #expect(lines.filter { $0.hasPrefix("\(thread):") } == (0..<50).map { "\(thread):\($0)" })
        }
    }
}

/// An outcome that a test did not want.
struct Unexpected: Error {
    let outcome: String
    init(_ outcome: some Sendable) { self.outcome = "\(outcome)" }
}
