import StreamProtocol

/// What a look at one stream has found of its retention.
struct RetentionVerdict: Sendable {
    /// The position up to which everything may go; nil: nothing more than went before.
    var cut: Int64?
    /// Milliseconds since 1970 at which to look again; nil: when it has a new segment.
    var next: Int64?
    /// When it was to be looked at, as this look has found it: another time since means that there is news.
    var due: Int64?
    /// What living forks hold on to.
    var pins: ForkPins
    /// Whether something goes, or may go.
    var removes = false
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
    let oldest: SQLiteStatement
    let lastBefore: SQLiteStatement
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
        oldest = try connection.prepare(
            "SELECT \(Segment.columns) FROM segment WHERE stream = ?1 AND start >= ?2 ORDER BY start LIMIT 1")
        lastBefore = try connection.prepare(
            "SELECT \(Segment.columns) FROM segment WHERE stream = ?1 AND start < ?2 ORDER BY start DESC LIMIT 1"
        )
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
            verdict.removes = verdict.cut != nil || isKeeping
            verdict.pins = try self.pins(on: state, isNeeded: verdict.removes)
            verdict.due = try self.times(of: stream).due
            verdict.changes = verdict.removes || verdict.due != verdict.next
            return verdict
        }
    }

    /// How far a stream may be given up, and when the oldest that stays was complete.
    ///
    /// What is hot counts as far as it is known, which is never too much.
    private func cut(
        _ state: StreamState, _ limits: Retention, now: Int64
    ) throws(StoreError) -> (Int64?, oldest: Int64?) {
        try index.refresh()
        let coldEnd = max(try segments.end(of: state.id) ?? 0, state.emptyTail)
        let tail = try index.tail(of: state.id) ?? coldEnd
        let isJSON = state.mediaType.isJSON
        let (positions, sums) = isJSON ? (limits.messages, limits.bytes) : (limits.bytes, limits.messages)
        var cut = state.earliest
        if let positions { cut = max(cut, try boundary(of: state, below: tail - positions)) }
        var sum: Int64 = 0
        if let sums {
            let found = try boundary(of: state, sums, isJSON: isJSON)
            (cut, sum) = (max(cut, found.end), found.sum)
        }
        if let age = limits.age { cut = max(cut, try boundary(of: state, newestAt: now - age * 1_000)) }
        let oldest = try kept(of: state.id, from: max(cut, state.basePosition))?.newest
        if cut > state.earliest { return (cut, oldest) }
        // What a fork has inherited goes as one.
        guard state.earliest < state.basePosition else { return (nil, oldest) }
        let created = try times(of: state.id).created
        let mayGo =
            positions.map { tail - state.basePosition >= $0 } ?? false || sums.map { sum >= $0 } ?? false
            || limits.age.map { created + $0 * 1_000 <= now } ?? false
        return mayGo ? (state.basePosition, oldest) : (nil, created)
    }

    /// The last end of a segment that is not behind a position.
    private func boundary(of state: StreamState, below position: Int64) throws(StoreError) -> Int64 {
        guard position > state.earliest else { return state.earliest }
        let last = retentionStatements.lastBefore
        last.bind(1, state.id)
        last.bind(2, position)
        guard try last.step() else { return state.earliest }
        defer { last.reset() }
        let segment = Segment(row: last)
        if segment.end <= position { return segment.end }
        // Where the first of its own begins, a fork's inherited part ends, which goes by a rule of its own.
        return segment.start > state.basePosition ? segment.start : state.earliest
    }

    /// The end of the newest segment behind which there is enough by a sum, and the sum of everything if there is none.
    private func boundary(
        of state: StreamState, _ limit: Int64, isJSON: Bool
    ) throws(StoreError) -> (end: Int64, sum: Int64) {
        var sum: Int64 = 0
        retentionStatements.hot.bind(1, state.id)
        if try retentionStatements.hot.step() {
            sum = max(0, retentionStatements.hot.int(isJSON ? 1 : 0))
            retentionStatements.hot.reset()
        }
        let kept = retentionStatements.kept
        kept.bind(1, state.id)
        kept.bind(2, state.earliest)
        defer { kept.reset() }
        while try kept.step() {
            let segment = Segment(row: kept)
            if sum >= limit { return (segment.end, sum) }
            // The brackets of a file are not content.
            sum += isJSON ? segment.bytes - 2 : segment.appends
        }
        return (state.earliest, sum)
    }

    /// The end of the last segment, from the oldest on, whose content was complete at a time.
    private func boundary(of state: StreamState, newestAt time: Int64) throws(StoreError) -> Int64 {
        var end = state.earliest
        while let segment = try kept(of: state.id, from: max(end, state.basePosition)), segment.newest <= time
        {
            end = segment.end
        }
        return end
    }

    /// The first segment from a position on.
    private func kept(of stream: Int64, from position: Int64) throws(StoreError) -> Segment? {
        retentionStatements.oldest.bind(1, stream)
        retentionStatements.oldest.bind(2, position)
        guard try retentionStatements.oldest.step() else { return nil }
        defer { retentionStatements.oldest.reset() }
        return Segment(row: retentionStatements.oldest)
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
        guard isNeeded, found.newestFork > 0 else { return found }
        statements.pins.bind(1, state.id)
        if try statements.pins.step() {
            found.low = statements.pins.optionalInt(0) ?? .max
            found.high = statements.pins.int(1)
            statements.pins.reset()
        }
        return found
    }
}
