/// The work of the thread that moves history out of the hot log, one task after the other.
///
/// Everything durable is done before the log hears of it in one transaction, so a crash leaves a file that nobody knows,
/// which is removed at the next start.
struct SegmentWork {
    let rotator: SegmentRotator
    let storage: any SegmentStorage
    let committer: GroupCommitter
    /// The server's limits of retention.
    let retention: Retention
    /// Milliseconds since 1970.
    let clock: @Sendable () -> Int64
    /// Whether it is time to end.
    let isStopping: () -> Bool
    /// Waits so many milliseconds; true when it is time to end.
    let pause: (Int64) -> Bool
    /// Keeps files from being removed while a backup copies them.
    let filesLock: FileLock

    /// Takes failures that concern one stream or one file; the others go on.
    let report: (StoreError) -> Void

    /// How many times as long as the rotation of a stream the rest behind it is. Streams that are written in turn are full
    /// at the same moment, and one after the other they held up appends for half a second.
    private static let restFactor: Int64 = 2
    /// Waiting streams from which on there is no rest.
    private static let backlog: Int64 = 512
    /// Files that are removed for each commit.
    private static let garbageStep = 32
    /// Milliseconds of rest behind each removed file: many at once make the file system's journal, and with it each
    /// commit, wait. Where many wait there is less of it.
    private static let deletionPause = (usual: Int64(20), backlog: Int64(3))
    /// Streams that are looked at in one go.
    private static let retentionStep = 256
    /// Microseconds of one kind of work, after which the others have their turn.
    private static let slice: Int64 = 500_000
    /// Looks at a stream to which forks keep coming, before it is put off.
    private static let looks = 3
    /// Milliseconds for which it is put off.
    private static let rest: Int64 = 1_000

    /// Removes what a crash has left between a file and its row; false when a backup is at the files.
    func removeOrphans() throws(StoreError) -> Bool {
        guard filesLock.tryLock() else { return false }
        defer { filesLock.unlock() }
        try rotator.removeOrphans(storage, until: isStopping)
        return true
    }

    /// Moves full and closed streams into segments, merges small segments, and gives up what need not be kept.
    func rotate() throws(StoreError) {
        let end = MonotonicInstant.now + SegmentWork.slice
        let isBacklog = try rotator.queueLength() >= SegmentWork.backlog
        while !isStopping(), MonotonicInstant.now < end, let stream = try rotator.nextStream() {
            let began = MonotonicInstant.now
            try rotate(stream)
            try committer.perform { (session) throws(StoreError) in try session.endRotation(of: stream) }
            try attempt { () throws(StoreError) in try merge(stream) }
            _ = try retain(stream)
            if !isBacklog, pause(SegmentWork.restFactor * (MonotonicInstant.now - began)) { return }
        }
    }

    /// What fails for one stream, by damage for instance, is reported; a full disk concerns all.
    private func attempt(_ work: () throws(StoreError) -> Void) throws(StoreError) {
        do throws(StoreError) {
            try work()
        } catch {
            if error.kind == .full { throw error }
            report(error)
        }
    }

    private func rotate(_ stream: Int64, anySize: Bool = false) throws(StoreError) {
        while !isStopping(), let stored = try rotator.build(stream, clock: clock, anySize: anySize) {
            try store(stored.0, stored.1) { (segment) throws(StoreError) in
                try committer.perform { (session) throws(StoreError) in try session.add(segment) }
            }
            TestPoint.segmentCommitted.reached()
        }
    }

    private func merge(_ stream: Int64) throws(StoreError) {
        while !isStopping(), let (old, stored, content) = try rotator.merge(stream, retention) {
            let now = clock()
            try store(stored, content) { (segment) throws(StoreError) in
                try committer.perform { (session) throws(StoreError) in
                    try session.replace(old, by: segment, now: now)
                }
            }
            TestPoint.mergeCommitted.reached()
        }
    }

    /// Makes a segment durable, then known; if nobody wants it any more, it goes again.
    private func store(
        _ stored: StoredSegment, _ content: [UInt8], record: (StoredSegment) throws(StoreError) -> Bool
    ) throws(StoreError) {
        let key = stored.segment.key
        guard committer.space?.hasRoom(for: content.count) ?? true else {
            throw StoreError(
                kind: .full,
                "\(storage.location(key)) must wait: there is no space for its \(content.count) bytes")
        }
        try storage.put(key, content)
        TestPoint.segmentStored.reached()
        do throws(StoreError) {
            if try !record(stored) { try storage.delete(key) }
        } catch {
            // A full disk has better uses for it.
            try? storage.delete(key)
            throw error
        }
    }

    // MARK: Retention

    /// Looks at the streams whose data may have become too old.
    ///
    /// - Parameter rotates: whether hot parts may move into segments; what is in segments goes in any case.
    func retainDue(rotates: Bool) throws(StoreError) {
        let end = MonotonicInstant.now + SegmentWork.slice
        var failure: StoreError?
        // Most have nothing to give up: when to look at them again is written down for all at once.
        var next: [Int64: RetentionVerdict] = [:]
        for stream in try rotator.retentionDue(now: clock(), limit: SegmentWork.retentionStep) {
            guard !isStopping(), MonotonicInstant.now < end else { break }
            if rotates, failure == nil, try rotator.ages(stream, retention) {
                do throws(StoreError) {
                    try attempt { () throws(StoreError) in
                        try rotate(stream, anySize: true)
                        try merge(stream)
                    }
                } catch {
                    failure = error
                }
            }
            next[stream] = try retain(stream, collects: true)
        }
        if !next.isEmpty {
            try committer.perform { [next] (session) throws(StoreError) in
                for (stream, verdict) in next {
                    _ = try session.setRetentionDue(stream, verdict.next, ifStill: verdict.due)
                }
            }
        }
        if let failure { throw failure }
    }

    /// Looks at the next streams for the first time with the server's present limits; gives the last of them, nil behind
    /// the end.
    func retainNext(behind stream: Int64) throws(StoreError) -> Int64? {
        let streams = try rotator.streams(behind: stream, limit: SegmentWork.retentionStep)
        for stream in streams where !isStopping() { _ = try retain(stream) }
        return streams.last
    }

    /// Gives up what may go of a stream.
    ///
    /// - Parameter collects: whether a verdict is given rather than written down, if the time of the next look is all.
    private func retain(_ stream: Int64, collects: Bool = false) throws(StoreError) -> RetentionVerdict? {
        for _ in 0..<SegmentWork.looks where !isStopping() {
            let now = clock()
            guard var verdict = try rotator.judge(stream, retention, now: now), verdict.changes else {
                return nil
            }
            TestPoint.retentionJudged.reached()
            if collects, !verdict.removes { return verdict }
            var step = RetentionStep.goesOn
            while case .goesOn = step, !isStopping() {
                step = try committer.perform { [verdict] (session) throws(StoreError) in
                    try session.retain(stream, verdict, now: now)
                }
                // The step has written that itself.
                verdict.due = now
                if verdict.cut != nil { TestPoint.retentionCommitted.reached() }
            }
            if case .done = step { return nil }
        }
        // Forks come so fast that each look is outdated.
        let later = clock() + SegmentWork.rest
        try committer.perform { (session) throws(StoreError) in try session.setRetentionDue(stream, later) }
        return nil
    }

    // MARK: Files

    /// Removes files that nobody can find any more, some at a time.
    func removeGarbage() throws(StoreError) {
        let end = MonotonicInstant.now + SegmentWork.slice
        while !isStopping(), MonotonicInstant.now < end {
            let keys = try rotator.garbage(now: clock(), limit: SegmentWork.garbageStep)
            guard !keys.isEmpty, filesLock.tryLock() else { return }
            defer { filesLock.unlock() }
            let isBacklog = keys.count == SegmentWork.garbageStep
            let rest = isBacklog ? SegmentWork.deletionPause.backlog : SegmentWork.deletionPause.usual
            for key in keys {
                do throws(StoreError) {
                    try storage.delete(key)
                } catch {
                    // Something else is in its place; it belongs to nobody now, which verify will say.
                    report(error)
                }
                if pause(rest) { return }
            }
            TestPoint.garbageRemoved.reached()
            try committer.perform { (session) throws(StoreError) in try session.forgetGarbage(keys) }
            if !isBacklog { return }
        }
    }
}
