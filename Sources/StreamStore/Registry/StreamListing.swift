import CSQLite
import StreamProtocol

/// What a list of streams says of each.
public struct ListedStream: Equatable, Sendable {
    /// The relative path, as in its URL.
    public let path: String
    /// As given at creation.
    public let contentType: String
    /// The offset behind its last unit.
    public let tail: String
    /// Whether it takes no more appends.
    public let isClosed: Bool
    /// Whether anyone may read it.
    public let isPublic: Bool
    /// Milliseconds since 1970.
    public let createdAt: Int64
    /// When content was last appended, in milliseconds since 1970; nil: never, or by a version that did not note it.
    public let lastWriteAt: Int64?
}

/// Lists streams by name, along an index: a page costs the same whatever the number of streams.
public final class StreamListing {
    private let connection: SQLiteConnection
    private let begin: SQLiteStatement
    private let commit: SQLiteStatement
    private let page: SQLiteStatement
    private let index: RecordIndex
    private let segments: SegmentIndex

    /// Opens the hot log, which a writer must have made before.
    public init(_ files: StoreFiles) throws(StoreError) {
        connection = try Schema.openForReading(files)
        begin = try connection.prepare("BEGIN")
        commit = try connection.prepare("COMMIT")
        page = try connection.prepare(
            """
            SELECT \(StreamState.columns) FROM stream WHERE name >= ?1 AND name < ?2
            AND soft_deleted = 0 AND (deadline IS NULL OR deadline > ?3) ORDER BY name LIMIT ?4
            """)
        index = try RecordIndex(connection)
        segments = try SegmentIndex(connection)
    }

    /// A page of a project's streams, in the order of their paths' bytes.
    ///
    /// - Parameters:
    ///   - prefix: what their paths begin with.
    ///   - after: the path before the page, which need not exist; nil: from the start.
    ///   - limit: most streams.
    ///   - now: milliseconds since 1970; decides what has expired.
    /// - Returns: the streams, and the `after` of the next page; nil when there is none.
    public func list(
        project: String, prefix: String, after: String?, limit: Int, now: Int64
    ) throws(StoreError) -> (streams: [ListedStream], next: String?) {
        let first = StreamName(project: project, path: prefix).text
        // Names are printable ASCII: the smallest one behind a name begins with it and the lowest byte, and none that begins
        // with the prefix lies behind the prefix and the highest.
        let behind = after.map { StreamName(project: project, path: $0).text + "\u{1}" } ?? ""
        page.bind(1, bytesBefore(behind, first) ? first : behind)
        page.bind(2, first + "\u{7F}")
        page.bind(3, now)
        page.bind(4, Int64(limit) + 1)
        var streams = try connection.readTransaction(begin: begin, commit: commit) {
            () throws(StoreError) -> [ListedStream] in
            try self.index.refresh()
            var found: [ListedStream] = []
            while try self.page.step() { found.append(try self.describe(StreamState(row: self.page))) }
            return found
        }
        guard streams.count > limit else { return (streams, nil) }
        streams.removeLast()
        return (streams, streams.last?.path)
    }

    private func describe(_ state: StreamState) throws(StoreError) -> ListedStream {
        let last = try segments.newest(of: state.id, limit: 1).first
        let tail = max(try index.tail(of: state.id) ?? 0, last?.end ?? 0, state.emptyTail)
        let written = try index.lastWrite(of: state.id) ?? last?.newest
        return ListedStream(
            path: state.name.path, contentType: state.contentType, tail: state.offset(tail).text,
            isClosed: state.closed, isPublic: state.isPublic, createdAt: state.createdAt,
            lastWriteAt: written == 0 ? nil : written)
    }

    private func bytesBefore(_ left: String, _ right: String) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }
}
