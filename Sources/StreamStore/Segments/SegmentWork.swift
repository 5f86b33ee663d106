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

    /// Files that are removed for each commit.
    private static let garbageStep = 64
    /// Milliseconds of rest behind each removed file: many at once make the file system's journal, and with it each
    /// commit, wait.
    private static let deletionPause: Int64 = 20
    /// Streams that are looked at in one go.
    private static let retentionStep = 256

    /// Removes what a crash has left between a file and its row; false when a backup is at the files.
    func removeOrphans() throws(StoreError) -> Bool {
        guard filesLock.tryLock() else { return false }
        defer { filesLock.unlock() }
        try rotator.removeOrphans(storage, until: isStopping)
        return true
    }

    /// Moves full and closed streams into segments, merges small segments, and gives up what need not be kept.
    func rotate() throws(StoreError) {
        while !isStopping(), let stream = try rotator.nextStream() {
            try rotate(stream)
            try committer.perform { (session) throws(StoreError) in try session.endRotation(of: stream) }
            try merge(stream)
            try retain(stream)
        }
    }

    private func rotate(_ stream: Int64, anySize: Bool = false) throws(StoreError) {
        while !isStopping(), let stored = try rotator.build(stream, now: clock(), anySize: anySize) {
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
        if try !record(stored) { try storage.delete(key) }
    }

    // MARK: Retention

    /// Looks at the streams whose data may have become too old.
    func retainDue() throws(StoreError) {
        var streams: [Int64]
        repeat {
            streams = try rotator.retentionDue(now: clock(), limit: SegmentWork.retentionStep)
            for stream in streams where !isStopping() {
                if try rotator.ages(stream, retention) {
                    try rotate(stream, anySize: true)
                    try merge(stream)
                }
                try retain(stream)
            }
        } while streams.count == SegmentWork.retentionStep && !isStopping()
    }

    /// Looks at the next streams for the first time with the server's present limits; gives the last of them, nil behind
    /// the end.
    func retainNext(behind stream: Int64) throws(StoreError) -> Int64? {
        let streams = try rotator.streams(behind: stream, limit: SegmentWork.retentionStep)
        for stream in streams where !isStopping() { try retain(stream) }
        return streams.last
    }

    private func retain(_ stream: Int64) throws(StoreError) {
        while !isStopping() {
            let now = clock()
            guard let verdict = try rotator.judge(stream, retention, now: now) else { return }
            guard verdict.changes else { return }
            let step = try committer.perform { (session) throws(StoreError) in
                try session.retain(stream, verdict, now: now)
            }
            if verdict.cut != nil { TestPoint.retentionCommitted.reached() }
            if case .done = step { return }
        }
    }

    // MARK: Files

    /// Removes the files that nobody can find any more.
    func removeGarbage() throws(StoreError) {
        var keys: [String]
        repeat {
            keys = try rotator.garbage(now: clock(), limit: SegmentWork.garbageStep)
            guard !keys.isEmpty, filesLock.tryLock() else { return }
            defer { filesLock.unlock() }
            for key in keys {
                try storage.delete(key)
                if pause(SegmentWork.deletionPause) { return }
            }
            TestPoint.garbageRemoved.reached()
            try committer.perform { [keys] (session) throws(StoreError) in try session.forgetGarbage(keys) }
        } while keys.count == SegmentWork.garbageStep && !isStopping()
    }
}
