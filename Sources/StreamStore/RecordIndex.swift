import CSQLite

/// Leads from a stream and a position to a record.
///
/// Records lie in the order of their arrival. The table `record_index` knows all up to a certain record;
/// those behind it, a few thousand at most, are kept in memory, each connection for itself, and brought up
/// to date by reading on where it left off. So a commit writes the pages of its records and no index page
/// for each stream that it touches; `WriteSession.extendIndex` enters thousands of records at once, in
/// order, when each index page takes many of them. Writing the index with each commit cost three times the
/// CPU and twenty times the bytes (ARCHITECTURE.md).
final class RecordIndex {
    /// A record that is not in the table yet.
    private struct Entry {
        let position: Int64
        let end: Int64
        let record: Int64
    }

    private var entries: [Int64: [Entry]] = [:]
    /// Records up to this one are in the table.
    private(set) var indexedThrough: Int64 = 0
    /// Records up to this one are known.
    private var through: Int64 = 0

    private let state: SQLiteStatement
    private let newRecords: SQLiteStatement
    private let lastIndexed: SQLiteStatement
    private let indexedBefore: SQLiteStatement
    private let indexedFrom: SQLiteStatement
    private let recordByID: SQLiteStatement
    private let newestIndexed: SQLiteStatement

    init(_ connection: SQLiteConnection) throws(StoreError) {
        state = try connection.prepare("SELECT indexed_through FROM log_state")
        newRecords = try connection.prepare(
            "SELECT id, stream, position, units FROM record WHERE id > ?1 ORDER BY id")
        lastIndexed = try connection.prepare(
            "SELECT end FROM record_index WHERE stream = ?1 ORDER BY position DESC LIMIT 1")
        indexedBefore = try connection.prepare(
            "SELECT position FROM record_index WHERE stream = ?1 AND position <= ?2 ORDER BY position DESC LIMIT 1"
        )
        indexedFrom = try connection.prepare(
            """
            SELECT record_index.position, units, boundaries, payload, written_at
            FROM record_index JOIN record ON record.id = record_index.record
            WHERE record_index.stream = ?1 AND record_index.position >= ?2 ORDER BY record_index.position
            """)
        newestIndexed = try connection.prepare(
            """
            SELECT record.written_at FROM record_index JOIN record ON record.id = record_index.record
            WHERE record_index.stream = ?1 ORDER BY record_index.position DESC LIMIT 1
            """)
        recordByID = try connection.prepare(
            "SELECT position, units, boundaries, payload, written_at FROM record WHERE id = ?1")
    }

    /// Takes in what was committed since; call it inside the transaction whose view is to be read.
    func refresh() throws(StoreError) {
        guard try state.step() else { throw StoreError(kind: .failed, "log_state is empty") }
        let indexed = state.int(0)
        state.reset()
        if indexed != indexedThrough {
            indexedThrough = indexed
            if indexed >= through {
                entries.removeAll(keepingCapacity: true)
                through = indexed
            } else {
                entries = entries.compactMapValues { known in
                    let rest = known.filter { $0.record > indexed }
                    return rest.isEmpty ? nil : rest
                }
            }
        }
        newRecords.bind(1, through)
        while try newRecords.step() {
            through = newRecords.int(0)
            let position = newRecords.int(2)
            entries[newRecords.int(1), default: []].append(
                Entry(position: position, end: position + newRecords.int(3), record: through))
        }
    }

    /// Forgets everything: a transaction whose records were taken in has been rolled back.
    func reset() {
        entries.removeAll(keepingCapacity: true)
        indexedThrough = 0
        through = 0
    }

    /// The position after a stream's last record; nil when it has none.
    func tail(of stream: Int64) throws(StoreError) -> Int64? {
        if let last = entries[stream]?.last { return last.end }
        lastIndexed.bind(1, stream)
        guard try lastIndexed.step() else { return nil }
        defer { lastIndexed.reset() }
        return lastIndexed.int(0)
    }

    /// When a stream's last record was written, in milliseconds since 1970; nil when it has none.
    func lastWrite(of stream: Int64) throws(StoreError) -> Int64? {
        if let last = entries[stream]?.last {
            recordByID.bind(1, last.record)
            guard try recordByID.step() else { return nil }
            defer { recordByID.reset() }
            return recordByID.int(4)
        }
        newestIndexed.bind(1, stream)
        guard try newestIndexed.step() else { return nil }
        defer { newestIndexed.reset() }
        return newestIndexed.int(0)
    }

    /// A stream's records that are not in the table yet: a few thousand at most.
    func unindexed(of stream: Int64) -> [Int64] { entries[stream]?.map(\.record) ?? [] }

    /// Goes through a stream's records in order, beginning with the one that holds `start`, until `body`
    /// says false.
    ///
    /// - Parameter body: gets a row of position, units, boundaries, payload and time of writing.
    func records(
        of stream: Int64, from start: Int64, _ body: (SQLiteStatement) throws(StoreError) -> Bool
    ) throws(StoreError) {
        let unindexed = entries[stream] ?? []
        if unindexed.first.map({ start < $0.position }) ?? true {
            var first = start
            indexedBefore.bind(1, stream)
            indexedBefore.bind(2, start)
            if try indexedBefore.step() {
                first = indexedBefore.int(0)
                indexedBefore.reset()
            }
            indexedFrom.bind(1, stream)
            indexedFrom.bind(2, first)
            defer { indexedFrom.reset() }
            while try indexedFrom.step() {
                guard try body(indexedFrom) else { return }
            }
        }
        // The first entry that ends behind the start.
        var low = 0
        var high = unindexed.count
        while low < high {
            let middle = (low + high) / 2
            if unindexed[middle].end <= start { low = middle + 1 } else { high = middle }
        }
        for entry in unindexed[low...] {
            recordByID.bind(1, entry.record)
            guard try recordByID.step() else { return }
            defer { recordByID.reset() }
            guard try body(recordByID) else { return }
        }
    }
}
