import CSQLite

/// The work that keeps the hot log small, in steps that delay appends by little.
extension WriteSession {
    /// Removes expired streams while the budget lasts; gives how many there were.
    public func sweep(now: Int64, _ budget: StepBudget) throws(StoreError) -> Int {
        var budget = budget
        var count = 0
        var expired: [StreamState] = []
        statements.expired.bind(1, now)
        statements.expired.bind(2, Int64(budget.rows))
        while try statements.expired.step() { expired.append(StreamState(row: statements.expired)) }
        for found in expired {
            guard budget.isLeft else { break }
            budget.take(rows: 1)
            count += 1
            // Ending a fork before may have released this one since it was found.
            guard let state = try state(of: found.id) else { continue }
            try end(state, now: now)
            tally.expired += 1
            TestPoint.sweepEnded.reached()
        }
        return count
    }

    /// Enters `limit` records into the index, in the index's own order; gives how many were entered.
    ///
    /// Fewer are left to wait, since each entry alone would cost a page, unless a purge waits for them, or a stream may
    /// have to rotate.
    ///
    /// - Parameter limits: streams whose hot part reaches these are queued for rotation.
    public func extendIndex(
        limit: Int, rotateAt limits: SegmentLimits = SegmentLimits()
    ) throws(StoreError) -> Int {
        var entries: [IndexEntry] = []
        let unindexed = statements.unindexed
        unindexed.bind(1, Int64(limit))
        while try unindexed.step() { entries.append(IndexEntry(row: unindexed)) }
        guard let last = entries.last else { return 0 }
        if entries.count < limit, !mayFill(entries, limits) {
            guard try statements.purgeWaits.step() else { return 0 }
            statements.purgeWaits.reset()
        }
        entries.sort { ($0.stream, $0.position) < ($1.stream, $1.position) }
        let insert = statements.insertEntry
        for entry in entries {
            insert.bind(1, entry.stream)
            insert.bind(2, entry.position)
            insert.bind(3, entry.end)
            insert.bind(4, entry.record)
            try insert.run()
        }
        try countHot(entries, limits)
        statements.setIndexed.bind(1, last.record)
        try statements.setIndexed.run()
        return entries.count
    }

    private func mayFill(_ entries: [IndexEntry], _ limits: SegmentLimits) -> Bool {
        entries.reduce(0) { $0 + $1.messages } >= limits.messages
            || entries.reduce(0) { $0 + $1.bytes } >= limits.bytes
    }

    /// Adds the entries, sorted by stream, to the sizes of the hot parts.
    private func countHot(_ entries: [IndexEntry], _ limits: SegmentLimits) throws(StoreError) {
        var first = 0
        var grown: [(stream: Int64, bytes: Int64)] = []
        while first < entries.count {
            let stream = entries[first].stream
            let behind = entries[first...].firstIndex { $0.stream != stream } ?? entries.count
            let run = entries[first..<behind]
            first = behind
            // Stream 0 has the tombstones.
            guard stream > 0 else { continue }
            let bytes = run.reduce(0) { $0 + $1.bytes }
            try addHot(stream, messages: run.reduce(0) { $0 + $1.messages }, bytes: bytes)
            grown.append((stream, bytes))
            if try isFull(stream, limits) { try queueRotation(of: stream) }
        }
        try countUsage(grown)
    }

    /// Writes a value that is there already, to see whether the data directory takes writes.
    public func probe() throws(StoreError) { try statements.touchLogState.run() }
}

/// A record on its way into the index.
private struct IndexEntry {
    let stream: Int64
    let position: Int64
    let end: Int64
    let record: Int64
    /// Messages of a JSON stream, appends of any other.
    let messages: Int64
    let bytes: Int64

    init(row: SQLiteStatement) {
        stream = row.int(0)
        position = row.int(1)
        end = row.int(2)
        record = row.int(3)
        bytes = row.int(4)
        // A batch has four bytes of boundaries for each message.
        messages = max(1, (row.optionalInt(5) ?? 0) / 4)
    }
}
