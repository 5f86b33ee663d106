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
        /// More waits to be written than may wait; nothing was done.
        case busy
        /// Anything else: a defect, or a damaged file.
        case failed
    }

    /// How callers treat it.
    public let kind: Kind
    /// SQLite's extended result code (https://sqlite.org/rescode.html), or 0.
    public let code: Int32
    /// The operation, the path where there is one, and SQLite's own words; never bound values.
    public let description: String

    /// The system call of some extended codes of SQLITE_IOERR, by what stands above the primary code.
    private static let calls: [Int32: String] = [
        1: "read", 2: "short read", 3: "write", 4: "fsync", 5: "fsync of the folder", 6: "truncate",
        7: "fstat",
        19: "shared memory",
    ]

    /// Whether a write or a sync of SQLite's files has failed: asked again, the system may say that all is well while what
    /// it held of them is lost.
    var isFailedWrite: Bool { [3, 4, 5, 6].contains(code >> 8) && code & 0xFF == SQLITE_IOERR }

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
        let call = StoreError.calls[code >> 8].map { ", \($0)" } ?? ""
        description =
            "\(operation): \(message) (SQLite code \(code)\(code & 0xFF == SQLITE_IOERR ? call : ""))"
    }
}
