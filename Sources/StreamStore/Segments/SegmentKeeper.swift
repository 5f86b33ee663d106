import Glibc

/// Moves history out of the hot log, off the commit path: full and closed streams rotate into segments, small segments
/// are merged, old ones given up, and the files of forgotten ones removed. Whoever does the chores has one.
final class SegmentKeeper: Sendable {
    private let stopping = Condition(false)
    private let thread: Condition<NamedThread?> = Condition(nil)

    /// Milliseconds between looks at the queues.
    private static let interval: Int64 = 100
    /// Microseconds of rest when something failed.
    private static let restAfterFailure: Int64 = 5_000_000
    /// Starts the thread.
    ///
    /// - Parameter retention: the server's limits.
    init(
        _ files: StoreFiles, _ committer: GroupCommitter, _ limits: SegmentLimits, _ retention: Retention,
        clock: @escaping @Sendable () -> Int64, report: @escaping @Sendable (StoreError) -> Void
    ) throws(StoreError) {
        let work = SegmentWork(
            rotator: try SegmentRotator(files, limits), storage: files.segments.storage, committer: committer,
            retention: retention, clock: clock, isStopping: { self.stopping.update { (false, $0) } },
            pause: { self.pause($0) }, filesLock: try FileLock(path: files.filesLock), report: report)
        // Its connection is used by the thread alone from here on.
        nonisolated(unsafe) let owned = work
        let started = NamedThread("segments") { [self] in run(owned, report) }
        thread.update { thread in
            thread = started
            return (false, ())
        }
    }

    private func run(_ work: SegmentWork, _ report: (StoreError) -> Void) {
        var isSwept = false
        // Streams that are there already hear of limits that are new to the server.
        var newcomer: Int64? = work.retention.limits(beside: Retention()).isEmpty ? nil : 0
        var restsUntil = MonotonicInstant.now
        /// What one kind of work can't do must not keep the others from being done; they may make the room it needs.
        func attempt(_ body: () throws(StoreError) -> Void) {
            do throws(StoreError) {
                try body()
            } catch {
                report(error)
                // A full disk, most likely: the hot log keeps everything meanwhile.
                restsUntil = MonotonicInstant.now + SegmentKeeper.restAfterFailure
            }
        }
        repeat {
            attempt { () throws(StoreError) in try work.removeGarbage() }
            let rotates = restsUntil <= MonotonicInstant.now
            if !isSwept {
                // What can't be removed is reported once, and left to the operator.
                isSwept = true
                attempt { () throws(StoreError) in isSwept = try work.removeOrphans() }
            }
            if rotates { attempt { () throws(StoreError) in try work.rotate() } }
            attempt { () throws(StoreError) in try work.retainDue(rotates: rotates) }
            if rotates, let stream = newcomer {
                attempt { () throws(StoreError) in newcomer = try work.retainNext(behind: stream) }
            }
        } while !pause(newcomer == nil || restsUntil > MonotonicInstant.now ? SegmentKeeper.interval : 1)
    }

    /// Ends the thread behind its present step.
    func stop() {
        stopping.update { stopping in
            stopping = true
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
        stopping.wait(timeout: milliseconds) { $0 ? true : nil } ?? false
    }
}
