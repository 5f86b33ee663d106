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

    /// Streams that one step of the upkeep of the index touches at most; each costs some 8,000 instructions, and pages of
    /// its own.
    private static let streamsOfAStep = 256

    /// Enters records into the index, in the index's own order; gives how many were entered.
    ///
    /// Fewer than `limit` are left to wait, since each row costs a page, unless a purge waits for them, or a stream may
    /// have to rotate.
    ///
    /// - Parameters:
    ///   - limit: records that are entered at most.
    ///   - limits: streams whose hot part reaches these are queued for rotation.
    public func extendIndex(
        limit: Int, rotateAt limits: SegmentLimits = SegmentLimits()
    ) throws(StoreError) -> Int {
        try index.refresh()
        let waiting = index.through - index.indexedThrough
        guard waiting > 0 else { return 0 }
        if waiting < limit, !mayFill(limits) {
            guard try statements.purgeWaits.step() else { return 0 }
            statements.purgeWaits.reset()
        }
        let end = endOfStep(limit)
        var grown: [(stream: Int64, bytes: Int64)] = []
        let reached = index.entries.lazy.filter { $0.value[0].record <= end }
        for (stream, known) in reached.sorted(by: { $0.key < $1.key }) {
            let entered = known.prefix { $0.record <= end }
            try insertRuns(entered, of: stream)
            // Stream 0 has the tombstones.
            guard stream > 0 else { continue }
            let bytes = entered.reduce(0) { $0 + Int64($1.bytes) }
            try addHot(stream, messages: entered.reduce(0) { $0 + Int64($1.messages) }, bytes: bytes)
            grown.append((stream, bytes))
            if try isFull(stream, limits) { try queueRotation(of: stream) }
        }
        try countUsage(grown)
        statements.setIndexed.bind(1, end)
        try statements.setIndexed.run()
        return Int(end - index.indexedThrough)
    }

    private func mayFill(_ limits: SegmentLimits) -> Bool {
        var (messages, bytes) = (Int64(0), Int64(0))
        for known in index.entries.values {
            for entry in known {
                messages += Int64(entry.messages)
                bytes += Int64(entry.bytes)
            }
        }
        return messages >= limits.messages || bytes >= limits.bytes
    }

    /// The last record of a step: the first record of one stream too many comes behind it.
    private func endOfStep(_ limit: Int) -> Int64 {
        let end = min(index.through, index.indexedThrough + Int64(limit))
        guard index.entries.count > WriteSession.streamsOfAStep else { return end }
        return min(end, index.entries.values.map { $0[0].record }.sorted()[WriteSession.streamsOfAStep] - 1)
    }

    private func insertRuns(_ entries: ArraySlice<RecordIndex.Entry>, of stream: Int64) throws(StoreError) {
        var rest = entries
        while let last = rest.prefix(IndexRun.limit).last {
            let run = IndexRun(
                rest.prefix(IndexRun.limit).map { IndexRun.Entry(position: $0.position, record: $0.record) })
            try insert(run, of: stream, end: last.end)
            rest = rest.dropFirst(IndexRun.limit)
        }
    }

    /// - Parameter end: the position after the last unit of the run.
    func insert(_ run: IndexRun, of stream: Int64, end: Int64) throws(StoreError) {
        let insert = statements.insertRun
        insert.bind(1, stream)
        insert.bind(2, run.entries[0].position)
        insert.bind(3, end)
        insert.bind(4, run.entries[0].record)
        guard let further = run.further else {
            insert.bind(5, Int64?.none)
            return try insert.run()
        }
        try insert.withBlob(5, further) { () throws(StoreError) in try insert.run() }
    }

    /// Writes a value that is there already, to see whether the data directory takes writes.
    public func probe() throws(StoreError) { try statements.touchLogState.run() }
}
