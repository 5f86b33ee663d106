import CSQLite
import StreamProtocol

/// A piece of a stream, taken in one consistent view.
public struct StreamPiece: Sendable {
    /// The stream.
    public var state: StreamState
    /// The position before the first unit.
    public var start: Int64
    /// The position after the last unit.
    public var end: Int64
    /// The tail of the stream.
    public var tail: Int64
    /// The content as it goes out: a complete array for JSON streams, the raw bytes for all others.
    public var content: [UInt8]
    /// The segment whose file is the content, which is then empty here.
    public var file: String?
    /// Bytes of that file.
    public var fileBytes: Int64 = 0

    /// Whether nothing lies behind the piece.
    public var reachesTail: Bool { end >= tail }
    /// Whether the piece ends where a closed stream ends.
    public var reachesClosedTail: Bool { state.closed && reachesTail }
    /// Whether there are no units in it.
    public var isEmpty: Bool { end <= start }

    /// Adds the piece of a byte stream that begins where this one ends.
    public mutating func join(_ next: StreamPiece) {
        content += next.content
        (state, end, tail) = (next.state, next.end, next.tail)
    }
}

/// Reads streams; used by one thread at a time, as many as there are threads.
public final class StoreReader {
    private let connection: SQLiteConnection
    private let begin: SQLiteStatement
    private let commit: SQLiteStatement
    private let byName: SQLiteStatement
    private let byID: SQLiteStatement
    private let lineage: SQLiteStatement
    private let index: RecordIndex
    private let segments: SegmentIndex
    private let segmentFiles: SegmentFiles
    private let restoredAt: Int64

    private var expired: StreamName?
    private var recent: RecentReads
    /// How many transactions it took so far: what is remembered takes none.
    public private(set) var transactions = 0
    /// Mapped as long as the connection is open; nil until it has read.
    private let logIndex: UnsafeRawPointer?
    /// Whether the piece that is put together has content of segments.
    private var hasReadFiles = false

    /// The expired stream that a read has come across since the last call: it is still to be removed, and what it
    /// was forked from to be released.
    public func takeExpired() -> StreamName? {
        defer { expired = nil }
        return expired
    }

    private let files: StoreFiles
    private var openListing: StreamListing?

    /// Lists streams, over a connection that is opened when first asked for.
    public func listing() throws(StoreError) -> StreamListing {
        if let openListing { return openListing }
        let opened = try StreamListing(files)
        openListing = opened
        return opened
    }

    /// Opens the hot log, which a writer must have made before.
    ///
    /// - Parameter journal: tells what the commits of this process have changed; nil: it has none.
    public init(_ files: StoreFiles, journal: CommitJournal? = nil) throws(StoreError) {
        self.files = files
        recent = RecentReads(journal: journal)
        connection = try Schema.openForReading(files)
        begin = try connection.prepare("BEGIN")
        commit = try connection.prepare("COMMIT")
        byName = try connection.prepare("SELECT \(StreamState.columns) FROM stream WHERE name = ?1")
        byID = try connection.prepare("SELECT \(StreamState.columns) FROM stream WHERE id = ?1")
        lineage = try connection.prepare("SELECT lineage FROM stream WHERE id = ?1")
        index = try RecordIndex(connection)
        segments = try SegmentIndex(connection)
        segmentFiles = files.segments
        restoredAt = try connection.number("SELECT restored_at FROM log_state")
        logIndex = ds_sqlite3_wal_index(connection.handle)
    }

    /// Finds a stream and its tail.
    ///
    /// - Parameter now: milliseconds since 1970; decides what has expired.
    public func find(_ name: StreamName, now: Int64) throws(StoreError) -> Presence<
        (StreamState, tail: Int64)
    > {
        recent.catchUp(with: logIndex)
        if let known = recent.stream(name, now: now) { return .present((known.state, tail: known.tail)) }
        return try view { () throws(StoreError) in
            try self.lookUp(name, now: now).mapPresent { (state) throws(StoreError) in
                let tail = try self.tail(of: state)
                self.recent.remember(state, tail: tail)
                return (state, tail)
            }
        }
    }

    /// A stream and its tail, if nothing of them was changed since they were read: without the disk.
    ///
    /// - Parameter now: milliseconds since 1970; decides what has expired.
    public func recall(_ name: StreamName, now: Int64) -> (state: StreamState, tail: Int64)? {
        recent.catchUp(with: logIndex)
        return recent.stream(name, now: now).map { ($0.state, $0.tail) }
    }

    /// The piece that `read` would give for this position, if nothing of its stream was changed since it was read: without the
    /// disk.
    ///
    /// - Parameter now: milliseconds since 1970; decides what has expired.
    public func recall(_ name: StreamName, now: Int64, limit: Int, from position: Int64) -> RememberedPiece? {
        recent.catchUp(with: logIndex)
        return recent.stream(name, now: now)?.piece(from: position, limit: limit)
    }

    /// Reads a piece of a stream by name.
    ///
    /// - Parameters:
    ///   - start: chooses the position to read from when state and tail are known; nil reads nothing and
    ///     gives an empty piece at the tail.
    ///   - limit: most bytes of content; one unit is given whatever its size.
    ///   - takesFiles: whether a whole segment may be named instead of read, up to `fileLimit` bytes whatever `limit` is.
    public func read(
        _ name: StreamName, now: Int64, limit: Int, takesFiles: Bool = false,
        from start: (StreamState, _ tail: Int64) -> Int64?
    ) throws(StoreError) -> Presence<StreamPiece> {
        recent.catchUp(with: logIndex)
        if let known = recent.stream(name, now: now) {
            let position = start(known.state, known.tail) ?? known.tail
            if let piece = known.piece(from: position, limit: limit) { return .present(piece.piece) }
            if position >= known.tail {
                return .present(StoreReader.nothing(of: known.state, at: known.tail))
            }
        }
        return try view { () throws(StoreError) in
            try self.lookUp(name, now: now).mapPresent { (state) throws(StoreError) in
                let tail = try self.tail(of: state)
                let position = start(state, tail) ?? tail
                self.recent.remember(state, tail: tail)
                if takesFiles, let piece = try self.file(of: state, tail: tail, from: position, limit: limit)
                {
                    return piece
                }
                self.hasReadFiles = false
                let piece = try self.piece(of: state, tail: tail, from: position, limit: limit)
                // A segment's file is checked for damage with each read.
                if !self.hasReadFiles { self.recent.remember(piece, from: position, limit: limit) }
                return piece
            }
        }
    }

    /// Reads a piece of the very stream that has this id; one created later at the same name has another. A position
    /// before what is kept gives an empty piece.
    public func read(id: Int64, now: Int64, from position: Int64, limit: Int) throws(StoreError) -> Presence<
        StreamPiece
    > {
        recent.catchUp(with: logIndex)
        if let known = recent.stream(id, now: now) {
            if let piece = known.piece(from: position, limit: limit) { return .present(piece.piece) }
            if position >= known.tail {
                return .present(StoreReader.nothing(of: known.state, at: known.tail))
            }
        }
        return try view { () throws(StoreError) in
            self.byID.bind(1, id)
            return try self.state(self.byID, now: now).mapPresent { (state) throws(StoreError) in
                let tail = try self.tail(of: state)
                self.recent.remember(state, tail: tail)
                self.hasReadFiles = false
                let piece = try self.piece(of: state, tail: tail, from: position, limit: limit)
                if !self.hasReadFiles { self.recent.remember(piece, from: position, limit: limit) }
                return piece
            }
        }
    }

    /// The empty piece at the tail.
    private static func nothing(of state: StreamState, at tail: Int64) -> StreamPiece {
        var assembly = PieceAssembly(isJSON: state.mediaType.isJSON, start: tail, limit: 0)
        return StreamPiece(state: state, start: tail, end: tail, tail: tail, content: assembly.finish())
    }

    private func view<T>(_ body: () throws(StoreError) -> T) throws(StoreError) -> T {
        transactions += 1
        return try connection.readTransaction(begin: begin, commit: commit, body)
    }

    private func lookUp(_ name: StreamName, now: Int64) throws(StoreError) -> Presence<StreamState> {
        byName.bind(1, name.text)
        return try state(byName, now: now)
    }

    private func state(_ statement: SQLiteStatement, now: Int64) throws(StoreError) -> Presence<StreamState> {
        guard try statement.step() else { return .absent }
        defer { statement.reset() }
        var state = StreamState(row: statement)
        if state.softDeleted { return .gone }
        state.restoredAt = restoredAt
        guard state.isExpired(at: now) else { return .present(state) }
        expired = state.name
        return state.forks > 0 ? .gone : .absent
    }

    private func tail(of state: StreamState) throws(StoreError) -> Int64 {
        try index.refresh()
        if let hot = try index.tail(of: state.id) { return hot }
        return max(try segments.end(of: state.id) ?? 0, state.emptyTail)
    }

    private func piece(
        of state: StreamState, tail: Int64, from start: Int64, limit: Int
    ) throws(StoreError) -> StreamPiece {
        // A position that was never given out counts as the tail (PROTOCOL section 2.5).
        let start = min(start, tail)
        guard start >= state.earliest else {
            return StreamPiece(state: state, start: start, end: start, tail: tail, content: [])
        }
        var assembly = PieceAssembly(isJSON: state.mediaType.isJSON, start: start, limit: limit)
        for part in try parts(of: state, tail: tail, from: start) where !assembly.isFull {
            try add(part, to: &assembly)
        }
        return StreamPiece(
            state: state, start: start, end: assembly.end, tail: tail, content: assembly.finish())
    }
}

extension StoreReader {
    /// Bytes up to which a segment goes out whole.
    private static let fileLimit: Int64 = 8 << 20

    /// Which streams hold the content from a position on: what a fork has from its ancestors, then its own.
    private func parts(
        of state: StreamState, tail: Int64, from start: Int64
    ) throws(StoreError) -> [Lineage.Part] {
        let own = Lineage.Part(stream: state.id, end: tail)
        guard start < state.basePosition, state.fork != nil else { return [own] }
        lineage.bind(1, state.id)
        guard try lineage.step() else { return [own] }
        defer { lineage.reset() }
        let inherited = Lineage(bytes: lineage.blob(0))
        return inherited.parts[inherited.firstPart(behind: start)...] + [own]
    }

    /// Adds what a part holds from the end of the piece on: from its segments, then from its records.
    private func add(_ part: Lineage.Part, to assembly: inout PieceAssembly) throws(StoreError) {
        while !assembly.isFull, assembly.end < part.end {
            guard let segment = try segments.segment(of: part.stream, at: assembly.end) else {
                return try index.records(of: part.stream, from: assembly.end) { record in
                    assembly.add(record, until: part.end)
                }
            }
            let files = segmentFiles
            hasReadFiles = true
            try assembly.add(segment, try segments.ends(of: segment), until: part.end) {
                (range) throws(StoreError) in
                try files.read(segment, range)
            }
        }
    }

    /// The piece that is a whole segment, if one begins at the position and is worth a file of its own.
    private func file(
        of state: StreamState, tail: Int64, from start: Int64, limit: Int
    ) throws(StoreError) -> StreamPiece? {
        guard start < tail, start >= state.earliest,
            let part = try parts(of: state, tail: tail, from: start).first,
            let segment = try segments.segment(of: part.stream, at: start), segment.start == start,
            segment.end <= part.end, segment.bytes >= limit / 4,
            segment.bytes <= max(Int64(limit), StoreReader.fileLimit)
        else { return nil }
        try segmentFiles.check(segment)
        return StreamPiece(
            state: state, start: start, end: segment.end, tail: tail, content: [], file: segment.key,
            fileBytes: segment.bytes)
    }
}

extension Presence {
    /// Goes on with what was found.
    func mapPresent<T>(_ body: (Found) throws(StoreError) -> T) throws(StoreError) -> Presence<T> {
        switch self {
        case .absent: .absent
        case .gone: .gone
        case .present(let found): .present(try body(found))
        }
    }
}
