import Glibc

/// Moves history out of the hot log, off the commit path: full and closed streams rotate into segments, small segments
/// are merged, and the files of forgotten ones removed.
///
/// Whoever does the chores has one. Everything durable is done before the log hears of it in one transaction, so a
/// crash leaves a file that nobody knows, which is removed at the next start.
final class SegmentKeeper: Sendable {
    private let stopping = Condition(false)
    private let thread: Condition<NamedThread?> = Condition(nil)

    /// Milliseconds between looks at the queues.
    private static let interval: Int64 = 100
    /// Files that are removed for each commit.
    private static let garbageStep = 64
    /// Milliseconds of rest behind each removed file: many at once make the file system's journal, and with it each
    /// commit, wait.
    private static let deletionPause: Int64 = 20

    init(
        _ files: StoreFiles, _ committer: GroupCommitter, _ limits: SegmentLimits,
        clock: @escaping @Sendable () -> Int64, report: @escaping @Sendable (StoreError) -> Void
    ) throws(StoreError) {
        let started = NamedThread("segments") { [self] in
            do throws(StoreError) {
                let rotator = try SegmentRotator(files, limits)
                let storage = files.segments.storage
                var isSwept = false
                repeat {
                    do throws(StoreError) {
                        if !isSwept {
                            try rotator.removeOrphans(storage) { isStopping }
                            isSwept = true
                        }
                        try rotate(rotator, storage, committer, clock)
                        try removeGarbage(rotator, storage, committer, clock)
                    } catch {
                        report(error)
                        // A full disk, most likely: the hot log keeps everything meanwhile.
                        if pause(5_000) { return }
                    }
                } while !pause(SegmentKeeper.interval)
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

    private var isStopping: Bool { stopping.update { (false, $0) } }

    /// Waits; true when it is time to end.
    private func pause(_ milliseconds: Int64) -> Bool {
        stopping.wait(timeout: milliseconds) { $0 ? true : nil } ?? false
    }

    private func rotate(
        _ rotator: SegmentRotator, _ storage: any SegmentStorage, _ committer: GroupCommitter,
        _ clock: @Sendable () -> Int64
    ) throws(StoreError) {
        while !isStopping, let stream = try rotator.nextStream() {
            while !isStopping, let stored = try rotator.build(stream, now: clock()) {
                try store(stored.0, stored.1, storage) { (segment) throws(StoreError) in
                    try committer.perform { (session) throws(StoreError) in try session.add(segment) }
                }
                TestPoint.segmentCommitted.reached()
            }
            try committer.perform { (session) throws(StoreError) in
                try session.endRotation(of: stream)
            }
            try merge(stream, rotator, storage, committer, clock)
        }
    }

    private func merge(
        _ stream: Int64, _ rotator: SegmentRotator, _ storage: any SegmentStorage,
        _ committer: GroupCommitter, _ clock: @Sendable () -> Int64
    ) throws(StoreError) {
        while !isStopping, let (old, stored, content) = try rotator.merge(stream) {
            let now = clock()
            try store(stored, content, storage) { (segment) throws(StoreError) in
                try committer.perform { (session) throws(StoreError) in
                    try session.replace(old, by: segment, now: now)
                }
            }
            TestPoint.mergeCommitted.reached()
        }
    }

    /// Makes a segment durable, then known; if nobody wants it any more, it goes again.
    private func store(
        _ stored: StoredSegment, _ content: [UInt8], _ storage: any SegmentStorage,
        record: (StoredSegment) throws(StoreError) -> Bool
    ) throws(StoreError) {
        let key = stored.segment.key
        try storage.put(key, content)
        TestPoint.segmentStored.reached()
        if try !record(stored) { try storage.delete(key) }
    }

    private func removeGarbage(
        _ rotator: SegmentRotator, _ storage: any SegmentStorage, _ committer: GroupCommitter,
        _ clock: @Sendable () -> Int64
    ) throws(StoreError) {
        var keys: [String]
        repeat {
            keys = try rotator.garbage(now: clock(), limit: SegmentKeeper.garbageStep)
            guard !keys.isEmpty else { return }
            for key in keys {
                try storage.delete(key)
                if pause(SegmentKeeper.deletionPause) { return }
            }
            TestPoint.garbageRemoved.reached()
            try committer.perform { [keys] (session) throws(StoreError) in try session.forgetGarbage(keys) }
        } while keys.count == SegmentKeeper.garbageStep && !isStopping
    }
}
