import CSQLite
import Glibc

/// Copies a store into a folder, while it is in use.
///
/// The hot log is copied in one view of it, then the segments that it knows; they stay in place meanwhile, since their
/// removal waits for a lock. Segments never change, so those that an earlier backup has brought are not copied again.
public struct Backup {
    private let files: StoreFiles
    private let target: BackupFiles

    /// What a backup has done.
    public struct Summary: Sendable {
        /// Streams in the copy.
        public var streams: Int64 = 0
        /// Segments in the copy.
        public var segments = 0
        /// Segments that were copied this time.
        public var copied = 0
        /// Bytes that were copied this time, the hot log's too.
        public var bytes: Int64 = 0
        /// Segments that could not be copied, since they are damaged.
        public var damaged = 0
    }

    /// - Parameters:
    ///   - files: the store.
    ///   - target: the backup; its folder is made if it is missing.
    public init(of files: StoreFiles, to target: BackupFiles) {
        self.files = files
        self.target = target
    }

    /// Makes the backup, or brings an earlier one up to date.
    ///
    /// - Throws: `absent` without a store, `inUse` beside another backup into the folder, `occupied` when the folder is a
    ///   data directory, `newerSchema`, and what the disk says. The backup before stays as it was then.
    public func run(_ observer: WorkObserver) throws(StoreError) -> Summary {
        try Backup.require(files)
        try DurableFile.makeFolder(target.folder)
        guard !target.store.isDataDirectory,
            BackupFiles.isBackup(target.folder) || !DurableFile.exists(target.hotLog)
        else {
            throw StoreError(
                kind: .occupied, "\(target.folder) is a data directory: give the backup a folder of its own")
        }
        let lock = try FileLock(path: target.lock)
        guard lock.tryLock() else {
            throw StoreError(kind: .inUse, "\(target.folder): another backup is being made there")
        }
        let filesLock = try FileLock(path: files.filesLock)
        try filesLock.lock(isShared: true)
        defer { filesLock.unlock() }
        let isCutOff = DurableFile.exists(target.unfinishedHotLog)
        try requireSameStore()
        let (streams, segments) = try snapshot(observer)
        var summary = Summary()
        summary.streams = streams
        summary.segments = segments.count
        try copy(segments, isCutOff: isCutOff, &summary, observer)
        TestPoint.backupCopied.reached()
        summary.bytes += Int64(try sizeOf(target.unfinishedHotLog))
        let sum = try BackupFiles.checksum(of: target.unfinishedHotLog)
        try target.note(try target.notedChecksums() + [sum])
        try DurableFile.rename(target.unfinishedHotLog, to: target.hotLog)
        TestPoint.backupRenamed.reached()
        try target.note([sum])
        try removeAllBut(segments)
        return summary
    }

    /// - Throws: `absent` where there is no store.
    static func require(_ files: StoreFiles) throws(StoreError) {
        guard DurableFile.exists(files.hotLog) else {
            throw StoreError(kind: .absent, "\(files.folder) is no data directory: it has no hot.sqlite")
        }
    }

    /// Names of segments mean the same content in one store only.
    private func requireSameStore() throws(StoreError) {
        let source = try Schema.openForReading(files)
        try Schema.requireCurrent(source, files)
        guard DurableFile.exists(target.hotLog) else { return }
        let there = try? HotLogCopy.open(target.store).number("SELECT store FROM log_state")
        guard try source.number("SELECT store FROM log_state") == there else {
            throw StoreError(
                kind: .occupied,
                "\(target.folder) holds a backup of other data, perhaps from before a restore: give this one a folder of its own"
            )
        }
    }

    private func snapshot(_ observer: WorkObserver) throws(StoreError) -> (Int64, [Segment]) {
        let source = try Schema.openForReading(files)
        // The view begins with the first read in it.
        try source.execute("BEGIN")
        let streams = try source.number("SELECT count(*) FROM stream")
        let segments = try HotLogCopy.segments(source)
        try HotLogCopy.copy(source, to: target.unfinishedHotLog, progress: observer.progress)
        try source.execute("COMMIT")
        TestPoint.backupSnapshot.reached()
        return (streams, segments)
    }

    private func copy(
        _ segments: [Segment], isCutOff: Bool, _ summary: inout Summary, _ observer: WorkObserver
    ) throws(StoreError) {
        let total = segments.reduce(0) { $0 + $1.bytes }
        let there = target.store.segments
        var done: Int64 = 0
        for segment in segments {
            defer { done += segment.bytes }
            observer.progress(Progress(step: "segments", done: done, total: total, isBytes: true))
            // What a backup that was cut off has left may not have reached the disk.
            let isThere =
                isCutOff
                ? try there.damage(of: segment) == nil
                : there.storage.fingerprint(segment.key)?.size == segment.bytes
            if isThere { continue }
            let content = try files.segments.readWhole(segment) { damage in
                observer.found(Finding(damaged: segment, in: files, damage))
            }
            guard let content else {
                summary.damaged += 1
                continue
            }
            try there.storage.put(segment.key, content)
            summary.copied += 1
            summary.bytes += segment.bytes
            TestPoint.backupSegment.reached()
        }
        observer.progress(Progress(step: "segments", done: total, total: total, isBytes: true))
    }

    /// Removes segments that only an earlier backup needed.
    private func removeAllBut(_ segments: [Segment]) throws(StoreError) {
        let needed = Set(segments.map(\.key))
        let storage = target.store.segments.storage
        try storage.list { (key, isWhole) throws(StoreError) in
            if !isWhole || !needed.contains(key) { try storage.delete(key) }
            return true
        }
    }

    private func sizeOf(_ path: String) throws(StoreError) -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { throw DurableFile.error("look at \(path)") }
        return Int(status.st_size)
    }
}

extension Finding {
    /// A segment that is damaged or missing.
    ///
    /// - Parameter files: where it is to be put back.
    init(damaged segment: Segment, in files: StoreFiles, _ damage: String) {
        let path = files.segments.storage.location(segment.key)
        let place = Finding.quoted(path)
        // Something else may be in its place, into which cp would copy.
        let clear = DurableFile.exists(path) && !DurableFile.isFile(path) ? "rm -r \(place) && " : ""
        self.init(subject: path, what: damage, mend: "\(clear)cp BACKUP/segments/\(segment.key) \(place)")
    }
}
