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

/// Removing what deleted streams have left, and what segments have taken over.
extension WriteSession {
    /// Removes queued records, and what else deleted streams have left, while the budget lasts. Those of many streams go
    /// together, in the order in which they lie (`PurgeRound`). Each row counts by itself.
    ///
    /// A stream whose last records are not in the index yet waits for that.
    ///
    /// - Parameters:
    ///   - now: milliseconds since 1970.
    ///   - rotated: whether a new round takes what segments have taken over.
    public func purge(
        _ budget: StepBudget, now: Int64, rotated: RotatedRecords = .go
    ) throws(StoreError) -> PurgeStep {
        var budget = budget
        var step = PurgeStep()
        if purgeRound == nil { purgeRound = try beginPurge(rotated, &step) }
        guard var round = purgeRound else { return step }
        // The only one who has it, but for what a rollback would bring back.
        purgeRound = nil
        let before = round.removed
        step.goesOn = true
        step.takesRotated = round.takesRotated
        if try purge(&round, now, &budget) {
            step.endedWith = round.removed
        } else {
            purgeRound = round
        }
        tally.purged += round.removed - before
        if round.removed > before { TestPoint.purgeRecords.reached() }
        return step
    }

    private func beginPurge(
        _ rotated: RotatedRecords, _ step: inout PurgeStep
    ) throws(StoreError) -> PurgeRound? {
        var takesRotated = rotated != .stay
        if rotated == .goWhenNoneRotates, try statements.segment.anyRotation.step() {
            statements.segment.anyRotation.reset()
            step.isHeldBack = true
            takesRotated = false
        }
        var round = PurgeRound(takesRotated: takesRotated)
        let next = statements.nextPurge
        next.bind(1, takesRotated ? 1 : 0)
        next.bind(2, Int64(PurgeRound.limit))
        while try next.step() { round.queue(next.int(1), through: next.int(0), below: next.int(2)) }
        if round.streams.isEmpty { try queueTombstones(&round) }
        return round.streams.isEmpty ? nil : round
    }

    /// True when the round is at its end.
    private func purge(
        _ round: inout PurgeRound, _ now: Int64, _ budget: inout StepBudget
    ) throws(StoreError) -> Bool {
        let newest = try newestRecord()
        while budget.isLeft {
            if let stream = round.finishing.last {
                guard try finish(&round.streams[stream], now, &budget) else { return false }
                round.finishing.removeLast()
            } else if round.begun < round.streams.count {
                try readRun(&round.streams[round.begun], &budget)
                round.advance(round.begun)
                round.begun += 1
            } else if let (record, stream) = round.next() {
                budget.take(rows: 1, bytes: try contentLength(of: record))
                if record == newest { try insertTombstone(position: record) }
                statements.purgeRecord.bind(1, record)
                try statements.purgeRecord.run()
                if round.streams[stream].entries.isEmpty { try readRun(&round.streams[stream], &budget) }
                round.advance(stream)
            } else {
                return true
            }
        }
        return false
    }

    /// Rows of the index that are removed together: some 16 KiB where each names many records.
    private static let usedRowsLimit = 16

    /// Takes the next run of a stream in; without one its entries stay empty.
    private func readRun(_ stream: inout PurgeRound.Stream, _ budget: inout StepBudget) throws(StoreError) {
        if stream.usedRows >= WriteSession.usedRowsLimit {
            budget.take(rows: 1)
            try purgeEntries(of: &stream, below: stream.next)
        }
        let purgeable = statements.purgeable
        purgeable.bind(1, stream.id)
        purgeable.bind(2, stream.next)
        purgeable.bind(3, stream.below)
        guard try purgeable.step() else { return }
        let entries = IndexRun(row: purgeable).entries
        let end = purgeable.int(3)
        purgeable.reset()
        let kept = entries.firstIndex { $0.position >= stream.below } ?? entries.count
        stream.entries = entries[..<kept]
        if kept < entries.count { stream.rest = (IndexRun(Array(entries[kept...])), end) }
        // A tombstone ends where it begins.
        stream.next = max(end, entries[entries.count - 1].position + 1)
        stream.usedRows += 1
    }

    private func purgeEntries(
        of stream: inout PurgeRound.Stream, below position: Int64
    ) throws(StoreError) {
        statements.purgeEntries.bind(1, stream.id)
        statements.purgeEntries.bind(2, position)
        try statements.purgeEntries.run()
        stream.usedRows = 0
        guard let rest = stream.rest else { return }
        try insert(rest.run, of: stream.id, end: rest.end)
        stream.rest = nil
    }

    /// Removes what a stream without records has left, and takes it off the queue; true when all is gone.
    private func finish(
        _ stream: inout PurgeRound.Stream, _ now: Int64, _ budget: inout StepBudget
    ) throws(StoreError) -> Bool {
        if stream.usedRows > 0 {
            budget.take(rows: 1)
            try purgeEntries(of: &stream, below: stream.below)
        }
        if stream.isGone {
            guard try purgeSegments(of: stream.id, now: now, &budget),
                try purgeProducers(of: stream.id, &budget)
            else { return false }
        }
        TestPoint.purgeFinished.reached()
        for through in stream.queued {
            statements.purged.bind(1, through)
            statements.purged.bind(2, stream.id)
            // More may have been queued since, with the same row.
            statements.purged.bind(3, stream.below)
            try statements.purged.run()
        }
        return true
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

    /// Has the tombstones removed that have successors by now. Each lies at the position of the record that it followed.
    private func queueTombstones(_ round: inout PurgeRound) throws(StoreError) {
        let below = try newestRecord() - 1
        statements.purgeable.bind(1, 0)
        statements.purgeable.bind(2, Int64.min)
        statements.purgeable.bind(3, below)
        if try statements.purgeable.step() { round.streams.append(PurgeRound.Stream(0, below: below)) }
        statements.purgeable.reset()
    }

    /// The id of the newest record; 0 when there is none.
    public func newestRecord() throws(StoreError) -> Int64 {
        guard try statements.newestRecord.step() else { return 0 }
        defer { statements.newestRecord.reset() }
        return statements.newestRecord.int(0)
    }

    func number(_ statement: SQLiteStatement) throws(StoreError) -> Int64 {
        guard try statement.step() else { return 0 }
        defer { statement.reset() }
        return statement.int(0)
    }
}
