import CSQLite
import StreamProtocol

/// What an operator gets to see of one stream.
public struct StreamDetails: Sendable {
    /// A cold segment.
    public struct ColdPart: Sendable {
        /// Position before its first unit.
        public let start: Int64
        /// Position after its last unit.
        public let end: Int64
        /// Size of the file.
        public let bytes: Int64
    }

    /// A producer that the stream knows.
    public struct Producer: Sendable {
        /// `Producer-Id`.
        public let id: String
        /// The highest epoch.
        public let epoch: Int64
        /// The highest number in it.
        public let sequence: Int64
        /// Milliseconds since 1970.
        public let usedAt: Int64
    }

    /// The stream.
    public let state: StreamState
    /// Its tail.
    public let tail: Int64
    /// When content was last appended, in milliseconds since 1970; nil: never, or unknown.
    public let lastWriteAt: Int64?
    /// Messages of the hot part; of a byte stream, appends.
    public internal(set) var hotMessages: Int64 = 0
    /// Bytes of the hot part.
    public internal(set) var hotBytes: Int64 = 0
    /// Segments that were counted: all, or `StreamInspection.countLimit`.
    public internal(set) var segmentCount: Int64 = 0
    /// Bytes of those.
    public internal(set) var coldBytes: Int64 = 0
    /// Messages of those; of a byte stream, appends.
    public internal(set) var coldMessages: Int64 = 0
    /// The newest, newest first.
    public internal(set) var segments: [ColdPart] = []
    /// Producers that were counted: all, or `StreamInspection.countLimit`.
    public internal(set) var producerCount: Int64 = 0
    /// Those used last, newest first.
    public internal(set) var producers: [Producer] = []
}

/// Looks at one stream, or at which projects have any, for an operator: with work that is bounded whatever there is. Used by
/// one thread at a time.
public final class StreamInspection {
    /// Rows of one kind that are looked at; where there are more, counts stop there.
    public static let countLimit = 10_000
    /// Segments and producers that are told one by one.
    public static let shownLimit = 100

    private let connection: SQLiteConnection
    private let begin: SQLiteStatement
    private let commit: SQLiteStatement
    private let byName: SQLiteStatement
    private let hot: SQLiteStatement
    private let cold: SQLiteStatement
    private let producers: SQLiteStatement
    private let payload: SQLiteStatement
    private let nextName: SQLiteStatement
    private let index: RecordIndex
    private let segments: SegmentIndex

    /// Opens the hot log, which a writer must have made before.
    public init(_ files: StoreFiles) throws(StoreError) {
        connection = try Schema.openForReading(files)
        begin = try connection.prepare("BEGIN")
        commit = try connection.prepare("COMMIT")
        byName = try connection.prepare("SELECT \(StreamState.columns) FROM stream WHERE name = ?1")
        hot = try connection.prepare("SELECT messages, bytes FROM hot WHERE stream = ?1")
        cold = try connection.prepare(
            """
            SELECT count(*), coalesce(sum(bytes), 0), coalesce(sum(appends), 0)
            FROM (SELECT bytes, appends FROM segment WHERE stream = ?1 ORDER BY start DESC LIMIT ?2)
            """)
        producers = try connection.prepare(
            "SELECT id, epoch, sequence, used_at FROM producer WHERE stream = ?1 LIMIT ?2")
        payload = try connection.prepare("SELECT units, length(payload) FROM record WHERE id = ?1")
        nextName = try connection.prepare("SELECT name FROM stream WHERE name >= ?1 ORDER BY name LIMIT 1")
        index = try RecordIndex(connection)
        segments = try SegmentIndex(connection)
    }

    /// Looks at a stream.
    ///
    /// - Parameter now: milliseconds since 1970; decides what has expired.
    public func look(at name: StreamName, now: Int64) throws(StoreError) -> Presence<StreamDetails> {
        try connection.readTransaction(begin: begin, commit: commit) {
            () throws(StoreError) -> Presence<StreamDetails> in
            self.byName.bind(1, name.text)
            guard try self.byName.step() else { return .absent }
            let state = StreamState(row: self.byName)
            self.byName.reset()
            if state.softDeleted { return .gone }
            if state.isExpired(at: now) { return state.forks > 0 ? .gone : .absent }
            return .present(try self.details(of: state))
        }
    }

    private func details(of state: StreamState) throws(StoreError) -> StreamDetails {
        try index.refresh()
        let newest = try segments.newest(of: state.id, limit: StreamInspection.shownLimit)
        let tail = max(try index.tail(of: state.id) ?? 0, newest.first?.end ?? 0, state.emptyTail)
        let written = try index.lastWrite(of: state.id) ?? newest.first?.newest
        var details = StreamDetails(
            state: state, tail: tail, lastWriteAt: written == 0 ? nil : written)
        details.segments = newest.map {
            StreamDetails.ColdPart(start: $0.start, end: $0.end, bytes: $0.bytes)
        }
        try countHot(&details)
        cold.bind(1, state.id)
        cold.bind(2, Int64(StreamInspection.countLimit))
        if try cold.step() {
            details.segmentCount = cold.int(0)
            details.coldBytes = cold.int(1)
            details.coldMessages = cold.int(2)
            cold.reset()
        }
        try findProducers(&details)
        return details
    }

    private func countHot(_ details: inout StreamDetails) throws(StoreError) {
        let state = details.state
        hot.bind(1, state.id)
        if try hot.step() {
            details.hotMessages = hot.int(0)
            details.hotBytes = hot.int(1)
            hot.reset()
        }
        for record in index.unindexed(of: state.id) {
            payload.bind(1, record)
            guard try payload.step() else { continue }
            details.hotMessages += state.mediaType.isJSON ? payload.int(0) : 1
            details.hotBytes += payload.int(1)
            payload.reset()
        }
    }

    private func findProducers(_ details: inout StreamDetails) throws(StoreError) {
        producers.bind(1, details.state.id)
        producers.bind(2, Int64(StreamInspection.countLimit))
        var found: [StreamDetails.Producer] = []
        while try producers.step() {
            found.append(
                StreamDetails.Producer(
                    id: producers.text(0), epoch: producers.int(1), sequence: producers.int(2),
                    usedAt: producers.int(3)))
        }
        details.producerCount = Int64(found.count)
        found.sort { $0.usedAt > $1.usedAt }
        details.producers = Array(found.prefix(StreamInspection.shownLimit))
    }

    /// Projects that have streams, registered or not: a look at the index of names for each.
    ///
    /// - Parameter limit: most projects.
    public func projects(limit: Int) throws(StoreError) -> [String] {
        try connection.readTransaction(begin: begin, commit: commit) { () throws(StoreError) -> [String] in
            var found: [String] = []
            var from = ""
            while found.count < limit {
                self.nextName.bind(1, from)
                guard try self.nextName.step() else { break }
                let project = StreamName(text: self.nextName.text(0)).project
                self.nextName.reset()
                found.append(project)
                // `0` is the character behind the slash: all names of the project lie before.
                from = project + "0"
            }
            return found
        }
    }

    /// Whether a project has a stream, registered or not.
    public func hasStreams(_ project: String) throws(StoreError) -> Bool {
        nextName.bind(1, project + "/")
        guard try nextName.step() else { return false }
        defer { nextName.reset() }
        return StreamName(text: nextName.text(0)).project == project
    }
}
