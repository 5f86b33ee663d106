import CSQLite

/// A prepared statement; its connection finalizes it.
///
/// Parameters and columns count from 1 and from 0 respectively, as in SQLite's own interface.
struct SQLiteStatement {
    let handle: OpaquePointer

    func bind(_ index: Int32, _ value: Int64) { sqlite3_bind_int64(handle, index, value) }

    func bind(_ index: Int32, _ value: Int64?) {
        if let value { sqlite3_bind_int64(handle, index, value) } else { sqlite3_bind_null(handle, index) }
    }

    func bind(_ index: Int32, _ value: String?) {
        guard let value else {
            sqlite3_bind_null(handle, index)
            return
        }
        var text = value
        text.withUTF8 { bytes in
            _ = ds_sqlite3_bind_text_transient(handle, index, bytes.baseAddress, Int32(bytes.count))
        }
    }

    /// Binds bytes without a copy and runs `body`; the binding ends with it.
    func withBlob<T>(
        _ index: Int32, _ value: [UInt8], _ body: () throws(StoreError) -> T
    ) throws(StoreError) -> T {
        // A zero-length blob needs an address that is not null, or SQLite binds NULL.
        let result: Result<T, StoreError> = value.withUnsafeBytes { bytes in
            withUnsafePointer(to: UInt8(0)) { nothing in
                ds_sqlite3_bind_blob_static(
                    handle, index, bytes.baseAddress ?? UnsafeRawPointer(nothing), UInt64(bytes.count))
                defer { sqlite3_bind_null(handle, index) }
                do throws(StoreError) { return .success(try body()) } catch { return .failure(error) }
            }
        }
        return try result.get()
    }

    /// Goes to the next row; false when there is none, and then the statement is reset.
    func step() throws(StoreError) -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE:
            sqlite3_reset(handle)
            return false
        case let code:
            let error = StoreError(
                code, "run \(String(cString: sqlite3_sql(handle)))", sqlite3_db_handle(handle))
            sqlite3_reset(handle)
            throw error
        }
    }

    /// Runs a statement to its end, whatever rows it gives.
    func run() throws(StoreError) {
        while try step() {}
    }

    func reset() { sqlite3_reset(handle) }

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }
    func int(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }
    func optionalInt(_ column: Int32) -> Int64? { isNull(column) ? nil : int(column) }

    func optionalText(_ column: Int32) -> String? {
        guard let text = sqlite3_column_text(handle, column) else { return nil }
        let bytes = UnsafeBufferPointer(start: text, count: Int(sqlite3_column_bytes(handle, column)))
        return String(decoding: bytes, as: UTF8.self)
    }

    func text(_ column: Int32) -> String { optionalText(column) ?? "" }

    /// A blob in SQLite's own memory, valid until the next step.
    func blob(_ column: Int32) -> UnsafeRawBufferPointer {
        let start = sqlite3_column_blob(handle, column)
        return UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column)))
    }
}
