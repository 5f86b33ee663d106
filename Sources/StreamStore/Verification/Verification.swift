import CSQLite
import Glibc

/// Goes through everything that a store or a backup holds, and says what is not as it should be.
///
/// The hot log is read in one view, so a server may be at work meanwhile; segments are immutable, and stay in place for as
/// long as this holds a lock.
public struct Verification {
    /// What there was to look at.
    public struct Summary: Sendable {
        /// Streams.
        public var streams: Int64 = 0
        /// Segments.
        public var segments = 0
        /// Records of the hot log.
        public var records: Int64 = 0
        /// Findings.
        public var findings = 0
    }

    private let folder: String
    private let files: StoreFiles
    private let isBackup: Bool

    /// Problems of the database that are told one by one.
    private static let databaseFindings = 20

    /// Looks at a data directory, or at a backup, as its content tells.
    ///
    /// - Parameter files: the data directory's.
    public init(of files: StoreFiles) {
        folder = files.folder
        self.files = files
        isBackup = BackupFiles.isBackup(files.folder)
    }

    /// Looks at everything.
    ///
    /// - Throws: `absent` without anything to look at, `inUse` while a backup is being written there, `newerSchema`,
    ///   and what the disk says.
    public func run(_ observer: WorkObserver) throws(StoreError) -> Summary {
        var summary = Summary()
        var count = 0
        let observer = WorkObserver(
            found: {
                count += 1
                observer.found($0)
            }, progress: observer.progress)
        if isBackup {
            try verifyBackup(observer, &summary)
        } else if DurableFile.exists(files.restoring) {
            observer.found(
                Finding(
                    subject: files.restoring, what: "tells of a restore that was cut off",
                    mend: "durable-streams restore BACKUP --data-dir \(Finding.quoted(folder))"))
        } else {
            try Backup.require(files)
            try verifyData(observer, &summary)
        }
        summary.findings = count
        return summary
    }

    private func verifyData(_ observer: WorkObserver, _ summary: inout Summary) throws(StoreError) {
        let filesLock = try FileLock(path: files.filesLock)
        try filesLock.lock(isShared: true)
        defer { filesLock.unlock() }
        // A file may be a moment older than its row.
        let chores = try FileLock(path: files.choresLock)
        let isIdle = chores.tryLock()
        if isIdle { chores.unlock() }
        let found = try SegmentFileList(files.segments.storage)
        let log: SQLiteConnection
        let segments: [Segment]
        let orphans: [String]
        do throws(StoreError) {
            log = try Schema.openForReading(files)
            try Schema.requireCurrent(log, files)
            try log.execute("BEGIN")
            segments = try verifyLog(log, observer, &summary)
            orphans = try found.orphans(log, segments)
            try log.execute("COMMIT")
        } catch {
            guard error.kind == .inputOutput else { throw error }
            return observer.found(Finding(log: files.hotLog, error.description))
        }
        for key in orphans where isIdle || found.isOld(key) {
            observer.found(Finding(orphan: files.segments.storage.location(key)))
        }
        try verify(segments, SegmentVerification(log, files), observer) { segment, damage in
            Finding(damaged: segment, in: files, damage)
        }
    }

    private func verifyBackup(_ observer: WorkObserver, _ summary: inout Summary) throws(StoreError) {
        let backup = BackupFiles(folder: folder)
        // Where no lock can be made, on a disk that takes no writes, nobody makes a backup either.
        let lock = try? FileLock(path: backup.lock, creates: false)
        guard lock?.tryLock(isShared: true) != false else {
            throw StoreError(kind: .inUse, "\(folder): a backup is being made there")
        }
        let again = "durable-streams backup \(Finding.quoted(folder))"
        let isCutOff = DurableFile.exists(backup.unfinishedHotLog)
        if isCutOff, DurableFile.exists(backup.hotLog) {
            observer.found(
                Finding(
                    subject: backup.unfinishedHotLog,
                    what: "is left of a backup that was cut off; the one before is what is here", mend: again)
            )
        }
        if let damage = try backup.damage() {
            return observer.found(Finding(subject: backup.hotLog, what: damage, mend: again))
        }
        let found = try SegmentFileList(files.segments.storage)
        let log = try HotLogCopy.open(files)
        try Schema.requireCurrent(log, files)
        let segments = try verifyLog(log, observer, &summary)
        if !isCutOff {
            for key in try found.orphans(log, segments) {
                observer.found(Finding(orphan: files.segments.storage.location(key)))
            }
        }
        try verify(segments, SegmentVerification(log, files), observer) { segment, damage in
            let path = files.segments.storage.location(segment.key)
            return Finding(
                subject: path, what: damage, mend: "rm -rf \(Finding.quoted(path)) && \(again)")
        }
    }

    private func verifyLog(
        _ log: SQLiteConnection, _ observer: WorkObserver, _ summary: inout Summary
    ) throws(StoreError) -> [Segment] {
        let check = try log.prepare("PRAGMA integrity_check(\(Verification.databaseFindings))")
        while try check.step() {
            let text = check.text(0).replacing("\n", with: " ")
            if text != "ok" { observer.found(Finding(log: files.hotLog, "SQLite says: \(text)")) }
        }
        let segments = try HotLogCopy.segments(log)
        summary.segments = segments.count
        summary.streams = try log.number("SELECT count(*) FROM stream")
        summary.records = try log.number("SELECT count(*) FROM record WHERE stream > 0")
        try LogVerification(log, files).run(observer, streams: summary.streams)
        return segments
    }

    /// Reads all segments.
    private func verify(
        _ segments: [Segment], _ verification: SegmentVerification, _ observer: WorkObserver,
        finding: (Segment, String) -> Finding
    ) throws(StoreError) {
        let total = segments.reduce(0) { $0 + $1.bytes }
        var done: Int64 = 0
        for segment in segments {
            observer.progress(Progress(step: "segments", done: done, total: total, isBytes: true))
            let found = try verification.verify(segment) { damage in finding(segment, damage) }
            if let found { observer.found(found) }
            done += segment.bytes
        }
        observer.progress(Progress(step: "segments", done: total, total: total, isBytes: true))
    }
}

/// The files that lie where segments do.
private struct SegmentFileList {
    private let storage: any SegmentStorage
    private var keys: Set<String> = []

    /// Seconds for which a file may be there without a row, while a server is at work.
    private static let youth: Int64 = 60

    init(_ storage: any SegmentStorage) throws(StoreError) {
        self.storage = storage
        var keys: Set<String> = []
        try storage.list { (key, _) throws(StoreError) in
            keys.insert(key)
            return true
        }
        self.keys = keys
    }

    /// Those that a log doesn't know.
    func orphans(_ log: SQLiteConnection, _ segments: [Segment]) throws(StoreError) -> [String] {
        var rest = keys.subtracting(segments.map(\.key))
        let garbage = try log.prepare("SELECT key FROM garbage")
        while try garbage.step() { rest.remove(garbage.text(0)) }
        return rest.sorted()
    }

    /// Whether a file is there for so long that it is nobody's.
    func isOld(_ key: String) -> Bool {
        // One that was being written has its name by now.
        guard let found = storage.fingerprint(key) else { return DurableFile.exists(storage.location(key)) }
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) - found.modified > SegmentFileList.youth
    }
}

extension Finding {
    fileprivate init(log path: String, _ what: String) {
        self.init(subject: path, what: what, mend: Finding.restore)
    }

    fileprivate init(orphan path: String) {
        let remove = DurableFile.isFolder(path) ? "rm -r" : "rm"
        self.init(subject: path, what: "belongs to no stream", mend: "\(remove) \(Finding.quoted(path))")
    }
}
