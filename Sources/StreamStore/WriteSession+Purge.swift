import CSQLite

/// How much one step of the chores may do, so that appends which come meanwhile wait little.
public struct StepBudget {
    /// Rows that may still be removed.
    public private(set) var rows: Int
    private var bytes: Int
    private let deadline: MonotonicInstant?

    /// - Parameters:
    ///   - rows: most rows.
    ///   - bytes: bytes of content after which no further row is begun.
    ///   - microseconds: time after which no further row is begun; nil: any.
    public init(rows: Int, bytes: Int = .max, microseconds: Int64? = nil) {
        self.rows = rows
        self.bytes = bytes
        deadline = microseconds.map { MonotonicInstant.now + $0 }
    }

    /// Whether there is room for one more row.
    public var isLeft: Bool { rows > 0 && bytes > 0 && (deadline.map { MonotonicInstant.now < $0 } ?? true) }

    mutating func take(rows: Int, bytes: Int = 0) {
        self.rows -= rows
        self.bytes -= min(bytes, self.bytes)
    }
}

/// Removing what deleted streams have left, and giving the space back.
extension WriteSession {
    /// Removes records and producers of deleted streams, oldest deletion first, while the budget lasts; false when
    /// nothing is left that can be removed now.
    ///
    /// - Parameter now: milliseconds since 1970.
    ///
    /// Each row counts by itself. A stream whose last records are not in the index yet waits for that.
    public func purge(_ budget: StepBudget, now: Int64) throws(StoreError) -> Bool {
        var budget = budget
        while budget.isLeft {
            let next = statements.nextPurge
            guard try next.step() else {
                try purgeTombstones(&budget)
                return false
            }
            let (through, stream, below) = (next.int(0), next.int(1), next.int(2))
            next.reset()
            guard try purgeRecords(of: stream, below: below, &budget) else { return true }
            // Of a stream that is there still only the records go that a segment has taken over.
            if below == .max {
                guard try purgeSegments(of: stream, now: now, &budget),
                    try purgeProducers(of: stream, &budget)
                else { return true }
            }
            TestPoint.purgeFinished.reached()
            statements.purged.bind(1, through)
            statements.purged.bind(2, stream)
            try statements.purged.run()
        }
        return true
    }

    /// Removes a stream's records; true when all are gone.
    private func purgeRecords(
        of stream: Int64, below: Int64, _ budget: inout StepBudget
    ) throws(StoreError) -> Bool {
        let newest = try newestRecord()
        var found: [IndexRun.Entry] = []
        // What stays of the run in which this ends, and where that run ends.
        var rest: ArraySlice<IndexRun.Entry> = []
        var end: Int64 = 0
        var isComplete = true
        let purgeable = statements.purgeable
        purgeable.bind(1, stream)
        purgeable.bind(2, below)
        runs: while try purgeable.step() {
            let entries = IndexRun(row: purgeable).entries
            for (number, entry) in entries.enumerated() {
                guard budget.isLeft, entry.position < below else {
                    isComplete = entry.position >= below
                    if number > 0 { rest = entries[number...] }
                    end = purgeable.int(3)
                    break runs
                }
                found.append(entry)
                budget.take(rows: 1, bytes: try contentLength(of: entry.record))
            }
        }
        purgeable.reset()
        guard let last = found.last else { return isComplete }
        tally.purged += found.count
        for entry in found {
            if entry.record == newest { try insertTombstone(position: entry.record) }
            statements.purgeRecord.bind(1, entry.record)
            try statements.purgeRecord.run()
            if entry.position == last.position { TestPoint.purgeRecords.reached() }
        }
        statements.purgeEntries.bind(1, stream)
        statements.purgeEntries.bind(2, last.position)
        try statements.purgeEntries.run()
        if !rest.isEmpty { try insert(IndexRun(Array(rest)), of: stream, end: end) }
        return isComplete
    }

    /// Bytes; the length is in the row's header: content that lies on pages of its own is not read.
    private func contentLength(of record: Int64) throws(StoreError) -> Int {
        statements.contentLength.bind(1, record)
        guard try statements.contentLength.step() else { return 0 }
        defer { statements.contentLength.reset() }
        return Int(statements.contentLength.int(0))
    }

    private func purgeProducers(of stream: Int64, _ budget: inout StepBudget) throws(StoreError) -> Bool {
        let limit = max(1, budget.rows)
        statements.purgeProducers.bind(1, stream)
        statements.purgeProducers.bind(2, Int64(limit))
        try statements.purgeProducers.run()
        let removed = connection.changedRows
        budget.take(rows: removed)
        return removed < limit
    }

    /// The newest record must not be removed without a successor: SQLite would give its id again, and a reader that
    /// has seen that id would miss the record which got it. So an empty one, of stream 0, follows it.
    private func insertTombstone(position: Int64) throws(StoreError) {
        statements.insertTombstone.bind(1, position)
        try statements.insertTombstone.run()
    }

    /// Removes the tombstones that have successors by now. Each lies at the position of the record that it followed.
    private func purgeTombstones(_ budget: inout StepBudget) throws(StoreError) {
        _ = try purgeRecords(of: 0, below: try newestRecord() - 1, &budget)
    }

    /// The id of the newest record; 0 when there is none.
    public func newestRecord() throws(StoreError) -> Int64 {
        guard try statements.newestRecord.step() else { return 0 }
        defer { statements.newestRecord.reset() }
        return statements.newestRecord.int(0)
    }

    /// Free pages that the file may keep for the next records: 16 MiB, or a twentieth of the file.
    private static let keptPages: Int64 = 4_096
    /// Pages in use up to which all may be written anew at once: 16 MiB, some 60 ms.
    private static let compactPages: Int64 = 4_096
    /// Pages that a step takes off at least, unless they lie scattered. To find a given page in the list of free ones,
    /// SQLite reads the list; what was freed last, usually the end of the file, it finds at once, but anything else
    /// only behind all of the list: 0.3 ms in one of 140,000 pages.
    private static let fewestPages = 4

    /// What a step of the vacuum has found.
    public enum VacuumOutcome: Equatable, Sendable {
        /// Few free pages are left.
        case done
        /// There is more to take off.
        case goesOn
        /// There is more, which lies scattered; where little is in use, writing all of that anew is cheaper.
        case scattered(isSmall: Bool)
    }

    /// Takes free pages off the end of the file, moving what lies behind them (https://sqlite.org/pragma.html
    /// #pragma_incremental_vacuum); the file itself gets shorter with the next checkpoint.
    ///
    /// - Parameter microseconds: time after which the step ends.
    public func vacuum(microseconds: Int64) throws(StoreError) -> VacuumOutcome {
        let deadline = MonotonicInstant.now + microseconds
        var count = 0
        var isSmall = false
        repeat {
            let free = try number(statements.freePages)
            let all = try number(statements.allPages)
            guard free > max(WriteSession.keptPages, all / 20) else { return .done }
            isSmall = all - free <= WriteSession.compactPages
            try statements.vacuum.run()
            TestPoint.vacuumStep.reached()
            count += 1
        } while MonotonicInstant.now < deadline
        return count < WriteSession.fewestPages ? .scattered(isSmall: isSmall) : .goesOn
    }

    func number(_ statement: SQLiteStatement) throws(StoreError) -> Int64 {
        guard try statement.step() else { return 0 }
        defer { statement.reset() }
        return statement.int(0)
    }
}
