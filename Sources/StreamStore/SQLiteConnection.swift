import CSQLite

/// One SQLite connection and its prepared statements, used by one thread at a time.
///
/// A thin layer: GRDB would cost 0.9 µs a row, set `synchronous` back to NORMAL when its pool opens, and
/// give up at once on a lock held by another process (all measured).
final class SQLiteConnection {
    let handle: OpaquePointer
    private var statements: [SQLiteStatement] = []

    /// How to open a file.
    enum Mode {
        /// For reading and writing; it is made if it is missing.
        case writing
        /// For reading a file that nobody changes: no locks, no files beside it
        /// (https://sqlite.org/uri.html#uriimmutable).
        case immutable
    }

    /// Opens a database file.
    init(path: String, _ mode: Mode = .writing) throws(StoreError) {
        _ = SQLiteConnection.configured
        // NOMUTEX: each connection belongs to one thread at a time, so SQLite's own mutex is not needed
        // (https://sqlite.org/threadsafe.html, multi-thread mode).
        var flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        var name = path
        switch mode {
        case .writing: flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
        case .immutable:
            flags |= SQLITE_OPEN_READONLY | SQLITE_OPEN_URI
            name = "file:\(SQLiteConnection.escaped(path))?immutable=1"
        }
        var opened: OpaquePointer?
        let code = sqlite3_open_v2(name, &opened, flags, nil)
        guard let opened, code == SQLITE_OK else {
            let error = StoreError(code, "open \(path)", opened)
            sqlite3_close_v2(opened)
            throw error
        }
        handle = opened
        // Writers exclude each other by a file lock of ours before they begin, so this only covers
        // the short exclusive moments of recovery and of closing.
        sqlite3_busy_timeout(handle, 10_000)
        _ = ds_sqlite3_no_checkpoint_on_close(handle)
    }

    /// A path inside a URI.
    private static func escaped(_ path: String) -> String {
        path.replacing("%", with: "%25").replacing("?", with: "%3f").replacing("#", with: "%23")
    }

    private static let configured = ds_sqlite3_without_statistics()

    deinit {
        for statement in statements { sqlite3_finalize(statement.handle) }
        sqlite3_close_v2(handle)
    }

    /// Compiles a statement that lives as long as the connection.
    func prepare(_ sql: String) throws(StoreError) -> SQLiteStatement {
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v3(
            handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard let prepared, code == SQLITE_OK else { throw StoreError(code, "prepare \(sql)", handle) }
        let statement = SQLiteStatement(handle: prepared)
        statements.append(statement)
        return statement
    }

    /// Runs one or more statements without parameters.
    func execute(_ sql: String) throws(StoreError) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw StoreError(code, sql, handle) }
    }

    /// The number in the first column of the first row; 0 when there is none.
    func number(_ sql: String) throws(StoreError) -> Int64 {
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v2(handle, sql, -1, &prepared, nil)
        guard let prepared, code == SQLITE_OK else { throw StoreError(code, "prepare \(sql)", handle) }
        defer { sqlite3_finalize(prepared) }
        let statement = SQLiteStatement(handle: prepared)
        return try statement.step() ? statement.int(0) : 0
    }

    /// Runs a read in one consistent view of the database.
    func readTransaction<T>(
        begin: SQLiteStatement, commit: SQLiteStatement, _ body: () throws(StoreError) -> T
    ) throws(StoreError) -> T {
        try begin.run()
        do throws(StoreError) {
            let value = try body()
            try commit.run()
            return value
        } catch {
            rollback()
            throw error
        }
    }

    /// Ends a transaction that may have ended already by itself.
    func rollback() {
        for statement in statements { statement.reset() }
        if sqlite3_get_autocommit(handle) == 0 { sqlite3_exec(handle, "ROLLBACK", nil, nil, nil) }
    }

    var lastInsertedRow: Int64 { sqlite3_last_insert_rowid(handle) }
    var changedRows: Int { Int(sqlite3_changes(handle)) }
}
