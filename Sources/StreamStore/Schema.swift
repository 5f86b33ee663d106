import CLinux
import CSQLite
import Glibc

/// The tables of the hot log.
///
/// Records lie in the order of their arrival, so that a commit which touches many streams writes few
/// pages; `RecordIndex` leads from a stream and a position to its record.
enum Schema {
    /// Kept in `user_version`; a file of a higher one is refused.
    static var version: Int64 { Int64(migrations.count) }

    /// What leads from each version to the next; a new file goes through all of them. One that was released is never
    /// changed.
    private static let migrations = [firstVersion, retention, RegistrySchema.third, runs]

    /// 2: what is no longer kept of a stream, when the data were restored from a copy, and a number that tells this store
    /// from all others.
    private static let retention = """
        ALTER TABLE stream ADD COLUMN earliest INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE stream ADD COLUMN retention_age INTEGER;
        ALTER TABLE stream ADD COLUMN retention_bytes INTEGER;
        ALTER TABLE stream ADD COLUMN retention_messages INTEGER;
        ALTER TABLE stream ADD COLUMN retention_due INTEGER;
        CREATE INDEX stream_by_retention ON stream (retention_due) WHERE retention_due IS NOT NULL;
        CREATE INDEX stream_by_source ON stream (source) WHERE source IS NOT NULL;
        ALTER TABLE log_state ADD COLUMN restored_at INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE log_state ADD COLUMN store INTEGER NOT NULL DEFAULT 0;
        UPDATE log_state SET store = abs(random());
        """

    /// 4: a row of the index may name several records (`IndexRun`).
    private static let runs = """
        ALTER TABLE record_index ADD COLUMN further BLOB;
        """

    private static let firstVersion = """
        CREATE TABLE stream (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            incarnation INTEGER NOT NULL,
            name TEXT NOT NULL UNIQUE,
            content_type TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            closed INTEGER NOT NULL DEFAULT 0,
            closed_producer TEXT,
            closed_epoch INTEGER,
            closed_sequence INTEGER,
            ttl INTEGER,
            expires_at INTEGER,
            expires_at_text TEXT,
            expiry_inherited INTEGER NOT NULL DEFAULT 0,
            deadline INTEGER,
            last_sequence TEXT,
            base_position INTEGER NOT NULL DEFAULT 0,
            source INTEGER,
            source_path TEXT,
            fork_offset TEXT,
            fork_sub_offset INTEGER,
            lineage BLOB,
            forks INTEGER NOT NULL DEFAULT 0,
            soft_deleted INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE INDEX stream_by_deadline ON stream (deadline) WHERE deadline IS NOT NULL;
        CREATE TABLE record (
            id INTEGER PRIMARY KEY,
            stream INTEGER NOT NULL,
            position INTEGER NOT NULL,
            units INTEGER NOT NULL,
            boundaries BLOB,
            payload BLOB NOT NULL
        ) STRICT;
        CREATE TABLE record_index (
            stream INTEGER NOT NULL,
            position INTEGER NOT NULL,
            end INTEGER NOT NULL,
            record INTEGER NOT NULL,
            PRIMARY KEY (stream, position)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE segment (
            id INTEGER PRIMARY KEY,
            stream INTEGER NOT NULL,
            start INTEGER NOT NULL,
            end INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            checksum BLOB NOT NULL,
            tier INTEGER NOT NULL,
            appends INTEGER NOT NULL,
            newest INTEGER NOT NULL,
            ends BLOB NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX segment_by_position ON segment (stream, start);
        CREATE TABLE hot (
            stream INTEGER PRIMARY KEY,
            messages INTEGER NOT NULL,
            bytes INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE rotation (stream INTEGER PRIMARY KEY) STRICT;
        CREATE TABLE garbage (key TEXT PRIMARY KEY, after INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE log_state (indexed_through INTEGER NOT NULL) STRICT;
        INSERT INTO log_state VALUES (0);
        CREATE TABLE producer (
            stream INTEGER NOT NULL,
            id TEXT NOT NULL,
            epoch INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            used_at INTEGER NOT NULL,
            PRIMARY KEY (stream, id)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE purge (
            through INTEGER NOT NULL,
            stream INTEGER NOT NULL,
            below INTEGER NOT NULL,
            PRIMARY KEY (through, stream)
        ) STRICT, WITHOUT ROWID;
        """

    /// Opens the hot log for writing, making it at the first start.
    static func openForWriting(_ files: StoreFiles) throws(StoreError) -> SQLiteConnection {
        let connection = try SQLiteConnection(path: files.hotLog)
        // Only possible before anything is in the file: the space of deleted streams can then be given back in steps
        // (https://sqlite.org/pragma.html#pragma_auto_vacuum).
        try connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        try connection.execute("PRAGMA journal_mode = WAL")
        // FULL syncs the log at each commit, before readers can see it (https://sqlite.org/wal.html):
        // an acknowledged append is on the disk.
        try connection.execute("PRAGMA synchronous = FULL")
        // Checkpoints run off the commit path, in `Checkpointer`.
        try connection.execute("PRAGMA wal_autocheckpoint = 0")
        // 24 MiB: of a million streams the upper levels of the indexes, and a part of the rest. With 8 MiB, appends to as
        // many ran at 0.76 of those to a hundred; with this, at 0.85.
        try connection.execute("PRAGMA cache_size = -24576")
        let found = try checkedVersion(connection, files)
        if found < version {
            try migrate(connection)
            if found == 0 { try? DurableFile.sync(DurableFile.folder(of: files.hotLog)) }
        }
        return connection
    }

    /// The version of the file.
    ///
    /// - Throws: `newerSchema` when this program doesn't know it.
    static func checkedVersion(
        _ connection: SQLiteConnection, _ files: StoreFiles
    ) throws(StoreError) -> Int64 {
        let found = try userVersion(connection)
        guard found <= version else {
            throw StoreError(
                kind: .newerSchema,
                "\(files.hotLog) has schema version \(found), this program knows up to \(version): "
                    + "start the version that wrote it, or a newer one")
        }
        return found
    }

    /// - Throws: `incomplete` when a server must bring the file up to date first, `newerSchema` as above.
    static func requireCurrent(_ connection: SQLiteConnection, _ files: StoreFiles) throws(StoreError) {
        let found = try checkedVersion(connection, files)
        guard found == version else {
            throw StoreError(
                kind: .incomplete,
                "\(files.hotLog) has schema version \(found): start a server on it once, which makes it \(version)"
            )
        }
    }

    /// All steps in one transaction; another process may have taken them meanwhile.
    static func migrate(_ connection: SQLiteConnection) throws(StoreError) {
        try connection.execute("BEGIN IMMEDIATE")
        do throws(StoreError) {
            for step in migrations[Int(try userVersion(connection))...] { try connection.execute(step) }
            try connection.execute("PRAGMA user_version = \(version); COMMIT")
        } catch {
            connection.rollback()
            throw error
        }
    }

    /// Bytes that the write-ahead log has from the start.
    private static let logSize = 32 << 20

    /// Gives the write-ahead log its usual size, so that commits overwrite it in place: one that makes the file
    /// longer has its fdatasync(2) write the inode too. SQLite takes zeros for the end of the log, since no frame
    /// has a checksum of zero (https://sqlite.org/fileformat2.html#walformat). Call it with the write lock held.
    ///
    /// A failure costs speed only, so none is reported.
    static func extendLog(_ files: StoreFiles) {
        let descriptor = open(files.hotLog + "-wal", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        var size = Int(lseek(descriptor, 0, SEEK_END))
        while size >= 0, size < logSize {
            let written = pwrite(descriptor, zeros, min(zeros.count, logSize - size), size)
            guard written > 0 else { return }
            size += written
        }
        fdatasync(descriptor)
    }

    /// Opens the hot log for reading. The connection may write WAL bookkeeping but no data.
    static func openForReading(_ files: StoreFiles) throws(StoreError) -> SQLiteConnection {
        let connection = try SQLiteConnection(path: files.hotLog)
        try connection.execute("PRAGMA query_only = 1")
        try connection.execute("PRAGMA wal_autocheckpoint = 0")
        try connection.execute("PRAGMA cache_size = -4096")
        return connection
    }

    private static func userVersion(_ connection: SQLiteConnection) throws(StoreError) -> Int64 {
        try connection.number("PRAGMA user_version")
    }
}
