import CSQLite

/// What can go wrong in the store. Every case carries what an operator needs; none of it is for clients.
public struct StoreError: Error, CustomStringConvertible {
    /// The kinds of failure that callers treat differently.
    public enum Kind: Sendable {
        /// The disk is full, or a file may not grow.
        case full
        /// Reading or writing the disk failed; what SQLite holds in memory may no longer be true.
        case inputOutput
        /// The data directory was written by a newer version of this program.
        case newerSchema
        /// A segment is missing or not what it was; the rest is unharmed.
        case corrupt
        /// There is nothing where data should be.
        case absent
        /// Something is in the way: a folder that should be empty is not.
        case occupied
        /// Another process is at it.
        case inUse
        /// A backup or a restore that was cut off, or a backup that is damaged.
        case incomplete
        /// Anything else: a defect, or a damaged file.
        case failed
    }

    /// How callers treat it.
    public let kind: Kind
    /// SQLite's extended result code (https://sqlite.org/rescode.html), or 0.
    public let code: Int32
    /// The operation, the path where there is one, and SQLite's own words; never bound values.
    public let description: String

    /// Describes a failure outside SQLite.
    public init(kind: Kind, _ description: String) {
        self.kind = kind
        code = 0
        self.description = description
    }

    init(_ code: Int32, _ operation: String, _ database: OpaquePointer?) {
        self.code = code
        switch code & 0xFF {
        // The index of the write-ahead log could not grow; nothing was begun yet.
        case _ where code == ds_sqlite3_ioerr_shmsize: kind = .full
        case SQLITE_FULL: kind = .full
        case SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_NOTADB: kind = .inputOutput
        default: kind = .failed
        }
        let message =
            database.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
        description = "\(operation): \(message) (SQLite code \(code))"
    }
}
