import CSQLite
import Glibc

/// Copies the hot log of a store that may be in use (https://sqlite.org/backup.html).
enum HotLogCopy {
    /// Pages between two reports: 4 MiB.
    private static let pages: Int32 = 1_024

    /// Copies the database as it is in the read transaction that is open on `source`, so that writers change nothing of
    /// what is copied, and go on meanwhile. The copy is durable, but for its folder.
    static func copy(
        _ source: SQLiteConnection, to path: String, progress: (Progress) -> Void
    ) throws(StoreError) {
        for name in [path, path + "-journal", path + "-wal", path + "-shm"] { unlink(name) }
        do {
            let target = try SQLiteConnection(path: path)
            // The file counts only once it is renamed: until then it may be lost.
            try target.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
            guard let backup = sqlite3_backup_init(target.handle, "main", source.handle, "main") else {
                throw StoreError(sqlite3_errcode(target.handle), "copy to \(path)", target.handle)
            }
            var code = SQLITE_OK
            while code == SQLITE_OK {
                code = sqlite3_backup_step(backup, pages)
                let total = Int64(sqlite3_backup_pagecount(backup))
                let done = total - Int64(sqlite3_backup_remaining(backup))
                progress(Progress(step: "hot log", done: done * 4_096, total: total * 4_096, isBytes: true))
            }
            let result = sqlite3_backup_finish(backup)
            guard code == SQLITE_DONE, result == SQLITE_OK else {
                throw StoreError(result == SQLITE_OK ? code : result, "copy to \(path)", target.handle)
            }
        }
        try DurableFile.sync(path)
    }

    /// The segments that a log knows, in the order of streams and positions.
    static func segments(_ connection: SQLiteConnection) throws(StoreError) -> [Segment] {
        let statement = try connection.prepare(
            "SELECT \(Segment.columns) FROM segment ORDER BY stream, start")
        var segments: [Segment] = []
        while try statement.step() { segments.append(Segment(row: statement)) }
        return segments
    }

    /// Reads a database of which it is certain that nobody changes it.
    static func open(_ files: StoreFiles) throws(StoreError) -> SQLiteConnection {
        let connection = try SQLiteConnection(path: files.hotLog, .immutable)
        _ = try Schema.checkedVersion(connection, files)
        return connection
    }
}
