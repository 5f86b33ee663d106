import CSQLite

/// Leads from a stream and a position to a record.
///
/// Records lie in the order of their arrival. The table `record_index` knows all up to a certain record;
/// those behind it, a few thousand at most, are kept in memory, each connection for itself, and brought up
/// to date by reading on where it left off. So a commit writes the pages of its records and no index page
/// for each stream that it touches; `WriteSession.extendIndex` enters thousands of records at once, in
/// order, as runs of each stream. Writing the index with each commit cost three times the CPU and twenty
/// times the bytes (ARCHITECTURE.md).
final class RecordIndex {
    /// By stream, in order.
    private(set) var entries: [Int64: [Entry]] = [:]
    /// Of all streams.
    private var count = 0
    /// Records up to this one are in the table.
    private(set) var indexedThrough: Int64 = 0
    /// Records up to this one are known.
    private(set) var through: Int64 = 0

    /// Entries up to which `note` takes more in.
    private static let noteLimit = 16_384

    private let state: SQLiteStatement
    private let newRecords: SQLiteStatement
    private let lastIndexed: SQLiteStatement
    private let indexedBefore: SQLiteStatement
    private let indexedFrom: SQLiteStatement
    private let newestIndexed: SQLiteStatement
    private let recordByID: SQLiteStatement

    init(_ connection: SQLiteConnection) throws(StoreError) {
        state = try connection.prepare("SELECT indexed_through FROM log_state")
        newRecords = try connection.prepare(
            """
            SELECT id, stream, position, units, length(payload), length(boundaries) FROM record
            WHERE id > ?1 ORDER BY id
            """)
        lastIndexed = try connection.prepare(
            "SELECT end FROM record_index WHERE stream = ?1 ORDER BY position DESC LIMIT 1")
        indexedBefore = try connection.prepare(
            "SELECT position FROM record_index WHERE stream = ?1 AND position <= ?2 ORDER BY position DESC LIMIT 1"
        )
        indexedFrom = try connection.prepare(
            """
            SELECT position, record, further FROM record_index
            WHERE stream = ?1 AND position >= ?2 ORDER BY position
            """)
        newestIndexed = try connection.prepare(
            """
            SELECT position, record, further FROM record_index
            WHERE stream = ?1 ORDER BY position DESC LIMIT 1
            """)
        recordByID = try connection.prepare(
            "SELECT position, units, boundaries, payload, written_at FROM record WHERE id = ?1")
    }

    /// Takes in what was committed since; call it inside the transaction whose view is to be read.
    func refresh() throws(StoreError) {
        guard try state.step() else { throw StoreError(kind: .failed, "log_state is empty") }
        let indexed = state.int(0)
        state.reset()
        if indexed != indexedThrough { forget(through: indexed) }
        newRecords.bind(1, through)
        while try newRecords.step() {
            // A batch has four bytes of boundaries for each message.
            let messages = max(1, newRecords.int(5) / 4)
            take(
                newRecords.int(0), of: newRecords.int(1), at: newRecords.int(2), units: newRecords.int(3),
                bytes: newRecords.int(4), messages: messages)
        }
    }

    private func forget(through indexed: Int64) {
        indexedThrough = indexed
        if indexed >= through {
            entries.removeAll(keepingCapacity: true)
            through = indexed
            count = 0
        } else {
            entries = entries.compactMapValues { known in
                let rest = known.drop { $0.record <= indexed }
                return rest.isEmpty ? nil : Array(rest)
            }
            count = entries.values.reduce(0) { $0 + $1.count }
        }
    }

    private func take(
        _ record: Int64, of stream: Int64, at position: Int64, units: Int64, bytes: Int64, messages: Int64
    ) {
        through = record
        count += 1
        entries[stream, default: []].append(
            Entry(
                position: position, end: position + units, record: record,
                bytes: Int32(clamping: bytes), messages: Int32(clamping: messages)))
    }

    /// Takes in a record that was just inserted, so that it need not be read again. One that does not follow on the last
    /// known one is left to `refresh`, and so are all while nobody enters them into the table.
    func note(
        _ record: Int64, of stream: Int64, at position: Int64, units: Int64, bytes: Int, messages: Int
    ) {
        guard record == through + 1, count < RecordIndex.noteLimit else { return }
        take(
            record, of: stream, at: position, units: units, bytes: Int64(bytes), messages: Int64(messages))
    }

    /// Forgets everything: a transaction whose records were taken in has been rolled back.
    func reset() {
        entries.removeAll(keepingCapacity: true)
        indexedThrough = 0
        through = 0
        count = 0
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
        var last = entries[stream]?.last?.record
        if last == nil {
            newestIndexed.bind(1, stream)
            guard try newestIndexed.step() else { return nil }
            last = IndexRun(row: newestIndexed).entries.last?.record
            newestIndexed.reset()
        }
        guard let last else { return nil }
        recordByID.bind(1, last)
        guard try recordByID.step() else { return nil }
        defer { recordByID.reset() }
        return recordByID.int(4)
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
                for entry in IndexRun(row: indexedFrom).from(start) {
                    guard try self.record(entry.record, body) else { return }
                }
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
            guard try record(entry.record, body) else { return }
        }
    }

    /// Gives `body` a record, if it is there.
    private func record(
        _ id: Int64, _ body: (SQLiteStatement) throws(StoreError) -> Bool
    ) throws(StoreError) -> Bool {
        recordByID.bind(1, id)
        guard try recordByID.step() else { return true }
        defer { recordByID.reset() }
        return try body(recordByID)
    }
}
