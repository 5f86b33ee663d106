import Glibc

/// Copies a backup into an empty data directory.
public struct Restore {
    private let source: BackupFiles
    private let files: StoreFiles

    /// - Parameters:
    ///   - source: the backup.
    ///   - files: the data directory; missing or empty.
    public init(of source: BackupFiles, to files: StoreFiles) {
        self.source = source
        self.files = files
    }

    /// Restores. Segments that are damaged in the backup are reported, and what they hold answers 500 until they are put
    /// back.
    ///
    /// - Throws: `occupied` when the data directory is not empty, `incomplete` when the backup is not whole,
    ///   `newerSchema`, and what the disk says. The data directory has the file `restoring` then, and can't be served.
    public func run(_ observer: WorkObserver) throws(StoreError) -> Backup.Summary {
        if let damage = try source.damage() {
            throw StoreError(
                kind: .incomplete, "\(source.hotLog) \(damage): `durable-streams backup` makes a new one")
        }
        let log = try HotLogCopy.open(source.store)
        // On a disk that takes no writes nobody makes a backup.
        let sourceLock = try? FileLock(path: source.lock, creates: false)
        guard sourceLock?.tryLock(isShared: true) != false else {
            throw StoreError(kind: .inUse, "\(source.folder): a backup is being made there")
        }
        try requireEmpty()
        let lock = try FileLock(path: files.serverLock)
        guard lock.tryLock() else {
            throw StoreError(kind: .inUse, "\(files.folder) is in use by a server or another restore")
        }
        try requireEmpty()
        for name in ["", "-wal", "-shm"] { unlink(files.hotLog + name) }
        try DurableFile.write([], to: files.restoring)
        TestPoint.restoreMarked.reached()
        var summary = Backup.Summary()
        summary.streams = try log.number("SELECT count(*) FROM stream")
        try copySegments(try HotLogCopy.segments(log), &summary, observer)
        let unfinished = files.hotLog + DurableFile.unfinished
        try HotLogCopy.copy(log, to: unfinished, progress: observer.progress)
        try Restore.leaveBehind(unfinished)
        TestPoint.restoreCopied.reached()
        try DurableFile.rename(unfinished, to: files.hotLog)
        TestPoint.restoreRenamed.reached()
        guard unlink(files.restoring) == 0 else { throw DurableFile.error("remove \(files.restoring)") }
        try DurableFile.sync(files.folder)
        return summary
    }

    /// Makes the folder; what a restore that was cut off has left counts for nothing, and is written anew.
    private func requireEmpty() throws(StoreError) {
        try DurableFile.makeFolder(files.folder)
        // The root of a file system of its own has a folder `lost+found`.
        let names = try DurableFile.names(in: files.folder).filter { $0 != "lost+found" && $0 != "lock" }
        guard names.isEmpty || names.contains("restoring") else {
            throw StoreError(
                kind: .occupied, "\(files.folder) is not empty: give the restored data a directory of its own"
            )
        }
    }

    private func copySegments(
        _ segments: [Segment], _ summary: inout Backup.Summary, _ observer: WorkObserver
    ) throws(StoreError) {
        let total = segments.reduce(0) { $0 + $1.bytes }
        var done: Int64 = 0
        summary.segments = segments.count
        for segment in segments {
            observer.progress(Progress(step: "segments", done: done, total: total, isBytes: true))
            done += segment.bytes
            let content = try source.store.segments.readWhole(segment) { damage in
                let path = source.store.segments.storage.location(segment.key)
                let mend = Finding(damaged: segment, in: files, damage).mend
                observer.found(Finding(subject: path, what: damage, mend: mend))
            }
            guard let content else {
                summary.damaged += 1
                continue
            }
            try files.segments.storage.put(segment.key, content)
            summary.copied += 1
            summary.bytes += segment.bytes
            TestPoint.restoreSegment.reached()
        }
        observer.progress(Progress(step: "segments", done: total, total: total, isBytes: true))
    }

    /// What was written behind the backup is lost, but clients and caches may know of it. So ids that streams may have
    /// had then are never given again, and entity tags are others from now on: both go on from the time in
    /// microseconds, which no store catches up with that makes fewer than a million streams a second, not even if the
    /// same backup is restored twice.
    private static func leaveBehind(_ path: String) throws(StoreError) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let now = Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
        do {
            let connection = try SQLiteConnection(path: path)
            try connection.execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE")
            try Schema.migrate(connection)
            try connection.execute(
                """
                BEGIN IMMEDIATE;
                INSERT INTO sqlite_sequence (name, seq)
                    SELECT 'stream', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'stream');
                UPDATE sqlite_sequence SET seq = max(seq, \(now)) WHERE name = 'stream';
                UPDATE log_state SET restored_at = \(now), store = abs(random());
                COMMIT
                """)
        }
        try DurableFile.sync(path)
    }
}
