import Glibc
import StreamStore
import TestStore
import Testing

/// Whoever finds too much before it hears so at once, and nothing of what waits is lost.
@Suite struct WriteQueueTests {
    private static let second: Int64 = 1_000_000_000

    @Test func bytesThatWaitAreBounded() throws {
        let store = try TestStore(
            limits: QueueLimits(requests: 100, bytes: 200, wait: 60 * WriteQueueTests.second))
        let outcomes = Mailbox<Bool>()
        let gate = Gate(store.committer)
        for _ in 0..<6 { submit(store, weight: 70, outcomes) }
        #expect(outcomes.received == [true, true, true], "told at once")
        #expect(!store.committer.takesMore())
        #expect(store.refusals.map(\.limit) == Array(repeating: .bytes, count: 4))
        #expect(store.refusals.last?.bytes == 210)
        #expect(store.queued == 3)
        gate.open()
        #expect(outcomes.collect(6) == [true, true, true, false, false, false])
        #expect(store.committer.takesMore())
        try store.create(.make("s"))
    }

    @Test func writesThatWaitAreBounded() throws {
        let store = try TestStore(
            limits: QueueLimits(requests: 3, bytes: 1, wait: 60 * WriteQueueTests.second))
        let outcomes = Mailbox<Bool>()
        let gate = Gate(store.committer)
        for _ in 0..<5 { submit(store, weight: 0, outcomes) }
        #expect(outcomes.received == [true, true])
        #expect(store.refusals.map(\.limit) == [.requests, .requests])
        gate.open()
        #expect(outcomes.collect(5) == [true, true, false, false, false])
    }

    /// What can't be refused comes in all the same: the server's own work.
    @Test func choresAreNotRefused() throws {
        let store = try TestStore(
            limits: QueueLimits(requests: 1, bytes: 1, wait: 60 * WriteQueueTests.second))
        let outcomes = Mailbox<Bool>()
        let gate = Gate(store.committer)
        submit(store, weight: 1, outcomes)
        store.committer.submit(isBounded: false) { (_) throws(StoreError) in
        } complete: {
            outcomes.deliver(isBusy($0))
        }
        #expect(outcomes.received.isEmpty)
        gate.open()
        #expect(outcomes.collect(2) == [false, false])
    }

    /// By what transactions took, one behind several full ones would wait too long.
    @Test func theWaitIsBounded() throws {
        let store = try TestStore(
            limits: QueueLimits(requests: 1_000, bytes: 1 << 40, wait: 200_000_000))
        let outcomes = Mailbox<Bool>()
        // Each fills a transaction, which takes 40 ms or more: five of them are too many, and so are four behind one in hand.
        for _ in 0..<12 {
            let done = Mailbox<Bool>()
            submit(store, weight: 16 << 20, milliseconds: 40, done)
            #expect(done.collect(1) == [false])
        }
        let gate = Gate(store.committer)
        for _ in 0..<10 { submit(store, weight: 16 << 20, outcomes) }
        let refused = outcomes.received.count
        #expect(refused >= 5, "of ten at most five are taken, with a mean that begins at nothing")
        #expect(store.refusals.allSatisfy { $0.limit == .wait && $0.nanoseconds > 30_000_000 })
        gate.open()
        #expect(outcomes.collect(10)?.filter { !$0 }.count == 10 - refused)
    }

    /// Nobody knows when a transaction ends that has taken very long already.
    @Test func nothingIsTakenBehindAStall() throws {
        let store = try TestStore(limits: QueueLimits(requests: 1_000, bytes: 1 << 40, wait: 20_000_000))
        let outcomes = Mailbox<Bool>()
        let gate = Gate(store.committer)
        usleep(100_000)
        submit(store, weight: 1, outcomes)
        #expect(outcomes.received == [true])
        #expect(store.refusals.map(\.limit) == [.stall])
        gate.open()
        // The transaction that took so long is over, and the next is taken.
        store.committer.submit(isBounded: false) { (_) throws(StoreError) in
        } complete: { _ in
            outcomes.deliver(false)
        }
        #expect(outcomes.collect(2) == [true, false])
        try store.create(.make("s"))
    }

    private func submit(_ store: TestStore, weight: Int, milliseconds: UInt32 = 0, _ outcomes: Mailbox<Bool>)
    {
        store.committer.submit(weight: weight) { (_) throws(StoreError) in
            if milliseconds > 0 { usleep(milliseconds * 1_000) }
        } complete: {
            outcomes.deliver(isBusy($0))
        }
    }

    private func isBusy(_ result: Result<Void, StoreError>) -> Bool {
        if case .failure(let error) = result { error.kind == .busy } else { false }
    }
}
