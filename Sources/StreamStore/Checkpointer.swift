import CSQLite

/// Copies the write-ahead log into the database, off the commit path (https://sqlite.org/wal.html).
///
/// A passive checkpoint must not begin on a log that is copied completely, since a writer may start the
/// log anew at that very moment and the checkpoint would then go by the old contents (SQLite's WAL reset
/// race, in all versions before 3.51.3). So one runs without the write lock only if something was
/// committed after the last one: the log then holds frames that nobody but this checkpointer could
/// copy, and until it has, no writer can start the log anew. The first one, of which nothing is known,
/// takes the lock.
final class Checkpointer {
    private let connection: SQLiteConnection
    private let dataVersion: SQLiteStatement
    private let lock: FileLock
    private let files: StoreFiles
    private let space: DiskSpace?
    private let checkpointed: @Sendable (Int64) -> Void
    private var lastVersion: Int64?
    /// Frames in the log when readers held up its new beginning; 0: they did not.
    private var heldUpAt: Int32 = 0

    /// Pages in the log above which writers pause for a moment, so that it can begin anew: 16 MiB.
    ///
    /// The file keeps its size, so that commits overwrite it in place: one that makes it longer has its
    /// fdatasync(2) write the inode too, a second wait for the disk.
    private static let restartAbove: Int32 = 4_096
    /// The same while there is little space, of which some must be left for what is in the log: 256 KiB.
    private static let restartAboveWhenTight: Int32 = 64

    /// Copies ahead of the one for which writers wait. Each leaves what is committed while it waits for the disk.
    private static let extraRounds = 3

    /// - Parameter checkpointed: hears of each copy, and how many bytes are in use in the log.
    init(
        _ files: StoreFiles, _ space: DiskSpace?,
        _ checkpointed: @escaping @Sendable (Int64) -> Void = { _ in }
    ) throws(StoreError) {
        self.checkpointed = checkpointed
        self.files = files
        self.space = space
        connection = try Schema.openForWriting(files)
        dataVersion = try connection.prepare("PRAGMA data_version")
        lock = try FileLock(path: files.writeLock)
    }

    /// Copies what was committed since the last time.
    func run() throws(StoreError) {
        guard let lastVersion else {
            try lock.lock()
            defer { lock.unlock() }
            _ = try checkpoint(SQLITE_CHECKPOINT_PASSIVE)
            self.lastVersion = try currentVersion()
            return
        }
        guard try currentVersion() != lastVersion else { return }
        let isTight = space?.isTight ?? false
        let restartAbove = isTight ? Checkpointer.restartAboveWhenTight : Checkpointer.restartAbove
        guard try copy() > restartAbove + heldUpAt else { return }
        // SQLite syncs the database only once everything is copied, which under load is when writers wait. So most of it
        // is synced before, and what was committed meanwhile copied, so that little is left by then.
        try sync()
        for _ in 0..<Checkpointer.extraRounds where try currentVersion() != self.lastVersion {
            _ = try copy()
            try sync()
        }
        // A reader that takes its time, such as a backup, must not make writers wait again and again.
        heldUpAt = try restart(SQLITE_CHECKPOINT_RESTART) ?? 0
    }

    private func sync() throws(StoreError) {
        let code = ds_sqlite3_sync_database(connection.handle)
        guard code == SQLITE_OK else { throw StoreError(code, "sync the database", connection.handle) }
    }

    private func copy() throws(StoreError) -> Int32 {
        let frames: Int32
        do throws(StoreError) {
            frames = try checkpoint(SQLITE_CHECKPOINT_PASSIVE).frames
        } catch {
            if error.kind == .full { space?.noteCheckpoint(succeeded: false) }
            throw error
        }
        space?.noteCheckpoint(succeeded: true)
        // Read behind the checkpoint: only what is committed from here on makes the next one safe.
        lastVersion = try currentVersion()
        return frames
    }

    /// Writes the whole database anew, without what is free (https://sqlite.org/lang_vacuum.html). Writers wait for about
    /// 4 ms for each MiB that is in use.
    func compact() throws(StoreError) {
        try lock.lock()
        defer { lock.unlock() }
        try connection.execute("PRAGMA temp_store = MEMORY; VACUUM")
    }

    /// Copies everything and empties the log, when the process ends. It gets its size again, so that the next start has
    /// it even if the disk is full by then.
    func finish() throws(StoreError) {
        _ = try restart(SQLITE_CHECKPOINT_TRUNCATE)
        try lock.lock()
        defer { lock.unlock() }
        Schema.extendLog(files)
    }

    /// Gives the number of frames in the log if readers have held it up.
    private func restart(_ mode: Int32) throws(StoreError) -> Int32? {
        try lock.lock()
        defer { lock.unlock() }
        // Readers of old frames hold this up; a tenth of a second is more than they need.
        sqlite3_busy_timeout(connection.handle, 100)
        let (frames, isHeldUp) = try checkpoint(mode)
        lastVersion = try currentVersion()
        return isHeldUp ? frames : nil
    }

    private func currentVersion() throws(StoreError) -> Int64 {
        guard try dataVersion.step() else { return 0 }
        defer { dataVersion.reset() }
        return dataVersion.int(0)
    }

    /// Gives the number of frames in the log, and whether somebody who uses it has held this up.
    private func checkpoint(_ mode: Int32) throws(StoreError) -> (frames: Int32, isHeldUp: Bool) {
        var frames: Int32 = 0
        let code = sqlite3_wal_checkpoint_v2(connection.handle, nil, mode, &frames, nil)
        guard code == SQLITE_OK || code & 0xFF == SQLITE_BUSY else {
            throw StoreError(code, "checkpoint", connection.handle)
        }
        // A frame is a page with a head of 24 bytes (https://sqlite.org/fileformat2.html#walformat).
        checkpointed(Int64(max(0, frames)) * (DiskSpace.page + 24))
        return (frames, code != SQLITE_OK)
    }
}
