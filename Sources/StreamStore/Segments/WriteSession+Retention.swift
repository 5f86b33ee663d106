import CSQLite

/// What became of a step that gives up old data.
enum RetentionStep: Sendable {
    /// All that may go has gone.
    case done
    /// There is more.
    case goesOn
    /// A fork has come or gone since the stream was looked at.
    case outdated
}

/// Giving up what retention no longer asks for.
extension WriteSession {
    /// Segments that one step gives up at most.
    private static let retentionStep = 64

    /// Moves the beginning of a stream forward, and forgets segments that nobody reads any more; those that forks read
    /// stay until the last of them has gone.
    ///
    /// - Parameter now: milliseconds since 1970.
    func retain(_ stream: Int64, _ verdict: RetentionVerdict, now: Int64) throws(StoreError) -> RetentionStep
    {
        guard let state = try state(of: stream) else { return .done }
        let statements = statements.retention
        statements.newestFork.bind(1, stream)
        guard try number(statements.newestFork) == verdict.pins.newestFork else { return .outdated }
        guard try setRetentionDue(stream, verdict.next, ifStill: verdict.due) else { return .outdated }
        var earliest = state.earliest
        if let cut = verdict.cut, cut > earliest {
            earliest = cut
            statements.setEarliest.bind(1, stream)
            statements.setEarliest.bind(2, cut)
            try statements.setEarliest.run()
            heads[state.name]?.state.earliest = cut
            // Readers behind it are to be told.
            changed.append(StreamChange(id: stream))
            // What this stream has inherited and gives up, its ancestors may have kept for it alone.
            if let source = state.fork?.source { try lookAgain(from: source, now: now) }
        }
        statements.unread.bind(1, stream)
        statements.unread.bind(2, earliest)
        statements.unread.bind(3, verdict.pins.low)
        statements.unread.bind(4, verdict.pins.high)
        statements.unread.bind(5, Int64(WriteSession.retentionStep))
        var segments: [Segment] = []
        while try statements.unread.step() { segments.append(Segment(row: statements.unread)) }
        for segment in segments { try throwAway(segment, now: now) }
        let goesOn = segments.count == WriteSession.retentionStep
        // After a crash in between, somebody goes on at once.
        if goesOn { try setRetentionDue(stream, now) }
        TestPoint.retentionRecorded.reached()
        return goesOn ? .goesOn : .done
    }

    /// Notes when a stream is to be looked at; nil: when it has a new segment.
    func setRetentionDue(_ stream: Int64, _ time: Int64?) throws(StoreError) {
        statements.retention.setDue.bind(1, stream)
        statements.retention.setDue.bind(2, time)
        try statements.retention.setDue.run()
    }

    /// The same, unless the stream is to be looked at for another reason than `due`, the time that was found: then false.
    func setRetentionDue(_ stream: Int64, _ time: Int64?, ifStill due: Int64?) throws(StoreError) -> Bool {
        let found = statements.retention.due
        found.bind(1, stream)
        found.bind(2, due)
        guard try found.step() else { return false }
        found.reset()
        try setRetentionDue(stream, time)
        return true
    }

    /// Has a stream and its ancestors looked at, as far as they have given something up: a fork that kept it has gone, or
    /// gives it up too. The time is always another than before, so that a look on its way sees that it is outdated.
    func lookAgain(from stream: Int64, now: Int64) throws(StoreError) {
        statements.retention.lookAgain.bind(1, stream)
        statements.retention.lookAgain.bind(2, now)
        try statements.retention.lookAgain.run()
    }
}

/// The statements of retention, over the connection that commits.
struct RetentionWrites {
    let newestFork: SQLiteStatement
    let setEarliest: SQLiteStatement
    let setDue: SQLiteStatement
    let due: SQLiteStatement
    let unread: SQLiteStatement
    let lookAgain: SQLiteStatement

    init(_ connection: SQLiteConnection) throws(StoreError) {
        newestFork = try connection.prepare("SELECT max(id) FROM stream WHERE source = ?1")
        setEarliest = try connection.prepare("UPDATE stream SET earliest = ?2 WHERE id = ?1")
        setDue = try connection.prepare(
            "UPDATE stream SET retention_due = ?2 WHERE id = ?1 AND retention_due IS NOT ?2")
        due = try connection.prepare("SELECT 1 FROM stream WHERE id = ?1 AND retention_due IS ?2")
        unread = try connection.prepare(
            """
            SELECT \(Segment.columns) FROM segment
            WHERE stream = ?1 AND start < ?2 AND end <= ?2 AND (end <= ?3 OR start >= ?4) ORDER BY start LIMIT ?5
            """)
        lookAgain = try connection.prepare(
            """
            WITH RECURSIVE ancestor (id) AS (
                VALUES (?1)
                UNION SELECT source FROM stream JOIN ancestor ON stream.id = ancestor.id WHERE source IS NOT NULL)
            UPDATE stream SET retention_due = iif(retention_due BETWEEN ?2 AND ?2 + 1000, retention_due + 1, ?2)
            WHERE id IN ancestor AND earliest > 0
            """)
    }
}
