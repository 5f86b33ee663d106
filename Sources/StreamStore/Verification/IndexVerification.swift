/// Looks whether the index of a hot log leads to each record, and nowhere else.
struct IndexVerification {
    private let runs: SQLiteStatement
    private let record: SQLiteStatement
    private let indexed: SQLiteStatement
    private let runOf: SQLiteStatement
    /// Records before these positions are being removed, and the rows that name them go behind them (`PurgeRound`).
    private let belowWhichTheyGo: SQLiteStatement

    private enum Fault: CaseIterable {
        case lostRecord, wrongEntry, lostEntry
    }

    init(_ log: SQLiteConnection) throws(StoreError) {
        runs = try log.prepare(
            "SELECT position, record, further, end, stream FROM record_index ORDER BY stream, position")
        record = try log.prepare("SELECT stream, position, position + units FROM record WHERE id = ?1")
        indexed = try log.prepare(
            """
            SELECT id, stream, position FROM record WHERE id <= (SELECT indexed_through FROM log_state) ORDER BY id
            """)
        runOf = try log.prepare(
            """
            SELECT position, record, further FROM record_index
            WHERE stream = ?1 AND position <= ?2 ORDER BY position DESC LIMIT 1
            """)
        belowWhichTheyGo = try log.prepare("SELECT stream, max(below) FROM purge GROUP BY stream")
    }

    func run(_ observer: WorkObserver) throws(StoreError) {
        /// How often there is which fault, by stream.
        var faults: [Fault: [Int64: Int]] = [:]
        // Tombstones hold nothing.
        var goesBelow: [Int64: Int64] = [0: .max]
        while try belowWhichTheyGo.step() { goesBelow[belowWhichTheyGo.int(0)] = belowWhichTheyGo.int(1) }
        while try runs.step() {
            let (entries, end, stream) = (IndexRun(row: runs).entries, runs.int(3), runs.int(4))
            for (number, entry) in entries.enumerated() {
                let next = number + 1 < entries.count ? entries[number + 1].position : end
                let goes = entry.position < goesBelow[stream] ?? .min
                if let fault = try fault(of: entry, next, stream), !(goes && fault == .lostRecord) {
                    faults[fault, default: [:]][stream, default: 0] += 1
                }
            }
        }
        while try indexed.step() {
            let (id, stream) = (indexed.int(0), indexed.int(1))
            if try !isIndexed(id, stream, indexed.int(2)) {
                faults[.lostEntry, default: [:]][stream, default: 0] += 1
            }
        }
        for fault in Fault.allCases {
            for (stream, count) in (faults[fault] ?? [:]).sorted(by: { $0.key < $1.key }) {
                observer.found(
                    Finding(
                        subject: "stream number \(stream)", what: IndexVerification.text(fault, count),
                        mend: Finding.restore))
            }
        }
    }

    private func fault(of entry: IndexRun.Entry, _ end: Int64, _ stream: Int64) throws(StoreError) -> Fault? {
        record.bind(1, entry.record)
        guard try record.step() else { return .lostRecord }
        defer { record.reset() }
        let isRight = record.int(0) == stream && record.int(1) == entry.position && record.int(2) == end
        return isRight ? nil : .wrongEntry
    }

    private func isIndexed(_ id: Int64, _ stream: Int64, _ position: Int64) throws(StoreError) -> Bool {
        runOf.bind(1, stream)
        runOf.bind(2, position)
        guard try runOf.step() else { return false }
        defer { runOf.reset() }
        return IndexRun(row: runOf).entries.contains { $0.record == id && $0.position == position }
    }

    private static func text(_ fault: Fault, _ count: Int) -> String {
        switch fault {
        case .lostRecord: "has lost \(count) records"
        case .wrongEntry: "has \(count) index entries that lead elsewhere"
        case .lostEntry: "has \(count) records that the index lacks"
        }
    }
}
