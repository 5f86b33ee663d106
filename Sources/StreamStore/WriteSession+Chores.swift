import CSQLite

/// The work that keeps the hot log small, in steps that delay appends by little.
extension WriteSession {
    /// Removes up to `limit` expired streams; gives how many there were.
    public func sweep(now: Int64, limit: Int) throws(StoreError) -> Int {
        var expired: [StreamState] = []
        statements.expired.bind(1, now)
        statements.expired.bind(2, Int64(limit))
        while try statements.expired.step() { expired.append(StreamState(row: statements.expired)) }
        for found in expired {
            // Ending a fork before may have released this one since it was found.
            statements.findStreamByID.bind(1, found.id)
            guard try statements.findStreamByID.step() else { continue }
            let state = StreamState(row: statements.findStreamByID)
            statements.findStreamByID.reset()
            try end(state, now: now)
            TestPoint.sweepEnded.reached()
        }
        return expired.count
    }

    /// Enters `limit` records into the index, in the index's own order; gives how many were entered.
    ///
    /// Fewer are left to wait, since each entry alone would cost a page, unless a purge waits for them.
    public func extendIndex(limit: Int) throws(StoreError) -> Int {
        var entries: [(stream: Int64, position: Int64, end: Int64, record: Int64)] = []
        let unindexed = statements.unindexed
        unindexed.bind(1, Int64(limit))
        while try unindexed.step() {
            entries.append((unindexed.int(0), unindexed.int(1), unindexed.int(2), unindexed.int(3)))
        }
        guard let last = entries.last else { return 0 }
        if entries.count < limit {
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
        statements.setIndexed.bind(1, last.record)
        try statements.setIndexed.run()
        return entries.count
    }

    /// Writes a value that is there already, to see whether the data directory takes writes.
    public func probe() throws(StoreError) { try statements.touchLogState.run() }
}
