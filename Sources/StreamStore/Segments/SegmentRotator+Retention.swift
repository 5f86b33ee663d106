import StreamProtocol

/// What a look at one stream has found of its retention.
struct RetentionVerdict: Sendable {
    /// The position up to which everything may go; nil: nothing more than went before.
    var cut: Int64?
    /// Milliseconds since 1970 at which to look again; nil: when it has a new segment.
    var next: Int64?
    /// What living forks hold on to.
    var pins: ForkPins
    /// Whether the log is to be changed: something goes, or the time of the next look is another.
    var changes = false
}

/// The part of a stream that its forks read.
struct ForkPins: Sendable {
    /// Position before the first unit that any living descendant reads; `high` or more: none reads anything.
    var low: Int64 = .max
    /// Position behind the last unit that a fork has inherited.
    var high: Int64 = 0
    /// Id of the newest direct fork, by which a later look knows whether one has come; 0: none.
    var newestFork: Int64 = 0
}

/// The statements of retention, over a connection that reads.
struct RetentionStatements {
    let due: SQLiteStatement
    let behind: SQLiteStatement
    let kept: SQLiteStatement
    let hot: SQLiteStatement
    let times: SQLiteStatement
    let newestFork: SQLiteStatement
    let unread: SQLiteStatement
    let pins: SQLiteStatement

    init(_ connection: SQLiteConnection) throws(StoreError) {
        due = try connection.prepare(
            "SELECT id FROM stream WHERE retention_due <= ?1 ORDER BY retention_due LIMIT ?2")
        behind = try connection.prepare("SELECT id FROM stream WHERE id > ?1 ORDER BY id LIMIT ?2")
        kept = try connection.prepare(
            "SELECT \(Segment.columns) FROM segment WHERE stream = ?1 AND start >= ?2 ORDER BY start DESC")
        hot = try connection.prepare("SELECT messages, bytes FROM hot WHERE stream = ?1")
        times = try connection.prepare("SELECT created_at, retention_due FROM stream WHERE id = ?1")
        newestFork = try connection.prepare("SELECT max(id) FROM stream WHERE source = ?1")
        unread = try connection.prepare("SELECT 1 FROM segment WHERE stream = ?1 AND start < ?2 LIMIT 1")
        // A fork may be soft-deleted while one of its own lives.
        pins = try connection.prepare(
            """
            WITH RECURSIVE descendant (id) AS (
                SELECT id FROM stream WHERE source = ?1
                UNION ALL SELECT stream.id FROM stream JOIN descendant ON stream.source = descendant.id)
            SELECT (SELECT min(earliest) FROM stream WHERE id IN descendant AND soft_deleted = 0),
                (SELECT max(base_position) FROM stream WHERE source = ?1)
            """)
    }
}

extension SegmentRotator {
    /// Streams whose time to be looked at has come.
    func retentionDue(now: Int64, limit: Int) throws(StoreError) -> [Int64] {
        retentionStatements.due.bind(1, now)
        return try ids(retentionStatements.due, limit)
    }

    /// All streams, some at a time, in the order of their ids.
    func streams(behind id: Int64, limit: Int) throws(StoreError) -> [Int64] {
        retentionStatements.behind.bind(1, id)
        return try ids(retentionStatements.behind, limit)
    }

    private func ids(_ statement: SQLiteStatement, _ limit: Int) throws(StoreError) -> [Int64] {
        statement.bind(2, Int64(limit))
        var found: [Int64] = []
        while try statement.step() { found.append(statement.int(0)) }
        return found
    }

    /// Whether data of a stream go by their age.
    func ages(_ stream: Int64, _ defaults: Retention) throws(StoreError) -> Bool {
        guard let state = try state(of: stream), !state.softDeleted else { return false }
        return state.retention.limits(beside: defaults).age != nil
    }

    /// What may go of a stream; nil when it has gone itself.
    ///
    /// - Parameters:
    ///   - defaults: the server's limits.
    ///   - now: milliseconds since 1970.
    func judge(_ stream: Int64, _ defaults: Retention, now: Int64) throws(StoreError) -> RetentionVerdict? {
        try view { () throws(StoreError) in
            guard let state = try self.state(of: stream) else { return nil }
            var verdict = RetentionVerdict(pins: ForkPins())
            let limits = state.retention.limits(beside: defaults)
            if !limits.isEmpty, !state.softDeleted {
                let (cut, oldest) = try self.cut(state, limits, now: now)
                verdict.cut = cut
                if let interval = limits.interval, let age = limits.age {
                    let wanted = oldest.map { $0 + age * 1_000 } ?? .max
                    verdict.next = max(now + 250, min(now + interval, wanted))
                }
            }
            let isKeeping = try self.isKeeping(state)
            if state.forks > 0 {
                verdict.pins = try self.pins(on: state, isNeeded: verdict.cut != nil || isKeeping)
            }
            let due = try self.times(of: stream).due
            verdict.changes = verdict.cut != nil || due != verdict.next || isKeeping
            return verdict
        }
    }

    /// From the newest segment back, the first that no limit asks for any more: it and all before it may go. Also when
    /// the oldest that stays was complete.
    ///
    /// What is hot counts as far as it is known, which is never too much.
    private func cut(
        _ state: StreamState, _ limits: Retention, now: Int64
    ) throws(StoreError) -> (Int64?, oldest: Int64?) {
        try index.refresh()
        let coldEnd = max(try segments.end(of: state.id) ?? 0, state.emptyTail)
        let tail = try index.tail(of: state.id) ?? coldEnd
        var bytes: Int64 = 0
        var messages: Int64 = 0
        retentionStatements.hot.bind(1, state.id)
        if try retentionStatements.hot.step() {
            messages = max(0, retentionStatements.hot.int(0))
            bytes = max(0, retentionStatements.hot.int(1))
            retentionStatements.hot.reset()
        }
        /// Whether what ends at a position may go.
        func mayGo(_ end: Int64, _ newest: Int64) -> Bool {
            let isJSON = state.mediaType.isJSON
            if let limit = limits.bytes, (isJSON ? bytes : tail - end) >= limit { return true }
            if let limit = limits.messages, (isJSON ? tail - end : messages) >= limit { return true }
            return limits.age.map { newest + $0 * 1_000 <= now } ?? false
        }
        var oldest: Int64?
        let kept = retentionStatements.kept
        kept.bind(1, state.id)
        kept.bind(2, state.earliest)
        defer { kept.reset() }
        while try kept.step() {
            let segment = Segment(row: kept)
            if mayGo(segment.end, segment.newest) { return (segment.end, oldest) }
            bytes += segment.bytes
            messages += segment.appends
            oldest = segment.newest
        }
        // What a fork has inherited goes as one.
        guard state.earliest < state.basePosition else { return (nil, oldest) }
        let created = try times(of: state.id).created
        return mayGo(state.basePosition, created) ? (state.basePosition, oldest) : (nil, created)
    }

    /// When a stream was made, and when it is to be looked at, in milliseconds since 1970.
    private func times(of stream: Int64) throws(StoreError) -> (created: Int64, due: Int64?) {
        retentionStatements.times.bind(1, stream)
        guard try retentionStatements.times.step() else { return (0, nil) }
        defer { retentionStatements.times.reset() }
        return (retentionStatements.times.int(0), retentionStatements.times.optionalInt(1))
    }

    /// Whether there are segments that only forks can read.
    private func isKeeping(_ state: StreamState) throws(StoreError) -> Bool {
        retentionStatements.unread.bind(1, state.id)
        retentionStatements.unread.bind(2, state.earliest)
        defer { retentionStatements.unread.reset() }
        return try retentionStatements.unread.step()
    }

    /// - Parameter isNeeded: whether something is about to go: to go through all forks takes its time.
    private func pins(on state: StreamState, isNeeded: Bool) throws(StoreError) -> ForkPins {
        var found = ForkPins()
        let statements = retentionStatements
        statements.newestFork.bind(1, state.id)
        if try statements.newestFork.step() {
            found.newestFork = statements.newestFork.int(0)
            statements.newestFork.reset()
        }
        guard isNeeded else { return found }
        statements.pins.bind(1, state.id)
        if try statements.pins.step() {
            found.low = statements.pins.optionalInt(0) ?? .max
            found.high = statements.pins.int(1)
            statements.pins.reset()
        }
        return found
    }
}
