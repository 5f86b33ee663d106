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
        }
        return expired.count
    }

    /// Removes up to `limit` records, or producers, of one deleted stream; false when nothing is left.
    public func purge(limit: Int) throws(StoreError) -> Bool {
        guard try statements.nextPurge.step() else { return false }
        let stream = statements.nextPurge.int(0)
        statements.nextPurge.reset()
        var found: [(position: Int64, record: Int64)] = []
        statements.purgeable.bind(1, stream)
        statements.purgeable.bind(2, Int64(limit))
        while try statements.purgeable.step() {
            found.append((statements.purgeable.int(0), statements.purgeable.int(1)))
        }
        for (position, record) in found {
            statements.purgeRecord.bind(1, record)
            try statements.purgeRecord.run()
            statements.purgeEntry.bind(1, stream)
            statements.purgeEntry.bind(2, position)
            try statements.purgeEntry.run()
        }
        if found.count == limit { return true }
        statements.purgeProducers.bind(1, stream)
        statements.purgeProducers.bind(2, Int64(limit))
        try statements.purgeProducers.run()
        if connection.changedRows == limit { return true }
        statements.purged.bind(1, stream)
        try statements.purged.run()
        return connection.changedRows > 0
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

    /// Writes and removes a row that stands for no stream, to see whether the data directory takes writes.
    public func probe() throws(StoreError) {
        try connection.execute(
            "INSERT OR REPLACE INTO purge VALUES (-1, 0); DELETE FROM purge WHERE stream = -1")
    }
}
