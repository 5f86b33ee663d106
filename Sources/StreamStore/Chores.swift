import CSQLite
import StreamProtocol

/// What keeps the hot log small: expired streams are removed, deleted ones purged in small steps, and
/// the write-ahead log is copied into the database.
///
/// One process does it for all: the one that holds the chores lock. The others wait for the lock.
public final class Chores: Sendable {
    private struct State {
        var stopping = false
    }

    private let state = Condition(State())
    private let thread: Condition<NamedThread?> = Condition(nil)

    /// Milliseconds between looks at the write-ahead log and at the purge queue.
    private static let interval: Int64 = 250
    /// Rows that one purge step removes: about a millisecond of the committing thread.
    private static let purgeStep = 256
    /// Records that are entered into the index at once. Fewer wait, in the memory of each connection.
    private static let indexStep = 1_024
    /// Expired streams that one sweep step removes.
    private static let sweepStep = 256

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - sweepInterval: seconds between searches for expired streams.
    ///   - clock: milliseconds since 1970.
    ///   - report: takes failures; the chores go on.
    public init(
        _ files: StoreFiles, committer: GroupCommitter, sweepInterval: Double,
        clock: @escaping @Sendable () -> Int64, report: @escaping @Sendable (StoreError) -> Void
    ) throws(StoreError) {
        let chores = try FileLock(path: files.choresLock)
        let started = NamedThread("chores") { [self] in
            while !chores.tryLock() {
                if pause(1_000) { return }
            }
            defer { chores.unlock() }
            do throws(StoreError) {
                let checkpointer = try Checkpointer(files)
                var nextSweep = clock()
                while !pause(Chores.interval) {
                    do throws(StoreError) {
                        try extendIndex(committer)
                        try checkpointer.run()
                        if clock() >= nextSweep {
                            nextSweep = clock() + Int64(sweepInterval * 1_000)
                            try sweep(committer, clock)
                        }
                        try purge(committer)
                    } catch {
                        report(error)
                    }
                }
                try checkpointer.finish()
            } catch {
                report(error)
            }
        }
        thread.update { thread in
            thread = started
            return (false, ())
        }
    }

    /// Ends the thread behind its present step.
    public func stop() {
        state.update { state in
            state.stopping = true
            return (true, ())
        }
        let thread = thread.update { thread in
            defer { thread = nil }
            return (false, thread)
        }
        thread?.join()
    }

    /// Waits; true when it is time to end.
    private func pause(_ milliseconds: Int64) -> Bool {
        state.wait(timeout: milliseconds) { $0.stopping ? true : nil } ?? false
    }

    private func sweep(_ committer: GroupCommitter, _ clock: @Sendable () -> Int64) throws(StoreError) {
        let now = clock()
        while try committer.perform({ (session) throws(StoreError) in
            try session.sweep(now: now, limit: Chores.sweepStep)
        }) == Chores.sweepStep {
            if pause(1) { return }
        }
    }

    private func extendIndex(_ committer: GroupCommitter) throws(StoreError) {
        while try committer.perform({ (session) throws(StoreError) in
            try session.extendIndex(limit: Chores.indexStep)
        }) == Chores.indexStep {
            if pause(1) { return }
        }
    }

    private func purge(_ committer: GroupCommitter) throws(StoreError) {
        while try committer.perform({ (session) throws(StoreError) in
            try session.purge(limit: Chores.purgeStep)
        }) {
            // Appends that came meanwhile go first.
            if pause(1) { return }
        }
    }
}
