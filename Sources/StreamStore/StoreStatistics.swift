import CSQLite

/// Counts what the store holds, in steps, so that a look at a million streams disturbs nobody. Used by one thread.
public final class StoreStatistics {
    /// What was found in one pass over everything.
    public struct Totals: Equatable, Sendable {
        /// Streams that are there.
        public var streams: Int64 = 0
        /// Projects that are registered.
        public var projects: Int64 = 0
        /// Messages in the hot log.
        public var hotMessages: Int64 = 0
        /// Bytes of content in the hot log.
        public var hotBytes: Int64 = 0
        /// Segments of streams.
        public var segments: Int64 = 0
        /// Bytes of them.
        public var coldBytes: Int64 = 0
        /// Streams and segments whose records are still to be removed; 100,000 stands for more too.
        public var purgeBacklog: Int64 = 0

        /// Nothing found.
        public init() {}
    }

    private enum Part: Int { case streams, hot, segments, rest }

    private let streams: SQLiteStatement
    private let hot: SQLiteStatement
    private let segments: SQLiteStatement
    private let recent: SQLiteStatement
    private let connection: SQLiteConnection
    private var part = Part.streams
    private var position: Int64 = 0
    private var totals = Totals()

    /// Rows that a step looks at, some hundred microseconds.
    private static let rows: Int64 = 1_000

    /// Opens the hot log, which a writer must have made before.
    public init(_ files: StoreFiles) throws(StoreError) {
        connection = try Schema.openForReading(files)
        streams = try connection.prepare(
            """
            SELECT count(*), max(id), count(*) - sum(soft_deleted)
            FROM (SELECT id, soft_deleted FROM stream WHERE id > ?1 ORDER BY id LIMIT ?2)
            """)
        hot = try connection.prepare(
            """
            SELECT count(*), max(stream), sum(messages), sum(bytes)
            FROM (SELECT stream, messages, bytes FROM hot WHERE stream > ?1 ORDER BY stream LIMIT ?2)
            """)
        segments = try connection.prepare(
            """
            SELECT count(*), max(id), sum(bytes)
            FROM (SELECT id, bytes FROM segment WHERE id > ?1 ORDER BY id LIMIT ?2)
            """)
        // What is not in the index is not in `hot` either. A batch has four bytes of boundaries for each message.
        recent = try connection.prepare(
            """
            SELECT count(*), sum(max(1, coalesce(length(boundaries), 0) / 4)), sum(length(payload)) FROM record
            WHERE id > (SELECT indexed_through FROM log_state) AND stream > 0
            """)
    }

    /// Takes a step; gives what was found when that was the last one of a pass. The next begins a new pass.
    public func step() throws(StoreError) -> Totals? {
        switch part {
        case .streams:
            if let row = try next(streams, sums: 1) { totals.streams += row[0] }
        case .hot:
            if let row = try next(hot, sums: 2) {
                totals.hotMessages += row[0]
                totals.hotBytes += row[1]
            }
        case .segments:
            if let row = try next(segments, sums: 1, counts: true) {
                totals.segments += row[1]
                totals.coldBytes += row[0]
            }
        case .rest: return try finish()
        }
        return nil
    }

    /// The sums of the next rows; goes on to the next part behind the last.
    private func next(
        _ statement: SQLiteStatement, sums: Int, counts: Bool = false
    ) throws(StoreError) -> [Int64]? {
        statement.bind(1, position)
        statement.bind(2, StoreStatistics.rows)
        guard try statement.step() else { return nil }
        defer { statement.reset() }
        let count = statement.int(0)
        var found = (0..<sums).map { statement.optionalInt(Int32($0 + 2)) ?? 0 }
        if counts { found.append(count) }
        position = statement.optionalInt(1) ?? 0
        if count < StoreStatistics.rows {
            part = Part(rawValue: part.rawValue + 1) ?? .streams
            position = part == .hot || part == .segments || part == .streams ? 0 : position
        }
        return found
    }

    private func finish() throws(StoreError) -> Totals {
        totals.projects = try connection.number("SELECT count(*) FROM project")
        totals.purgeBacklog = try connection.number("SELECT count(*) FROM (SELECT 1 FROM purge LIMIT 100000)")
        if try recent.step() {
            totals.hotMessages += recent.optionalInt(1) ?? 0
            totals.hotBytes += recent.optionalInt(2) ?? 0
            recent.reset()
        }
        let found = totals
        totals = Totals()
        part = .streams
        position = 0
        return found
    }
}
