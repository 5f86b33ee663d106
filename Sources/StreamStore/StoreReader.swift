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

    /// Whether nothing lies behind the piece.
    public var reachesTail: Bool { end >= tail }
    /// Whether the piece ends where a closed stream ends.
    public var reachesClosedTail: Bool { state.closed && reachesTail }
    /// Whether there are no units in it.
    public var isEmpty: Bool { end <= start }
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

    private var expired: StreamName?

    /// The expired stream that a read has come across since the last call: it is still to be removed, and what it
    /// was forked from to be released.
    public func takeExpired() -> StreamName? {
        defer { expired = nil }
        return expired
    }

    /// Opens the hot log, which a writer must have made before.
    public init(_ files: StoreFiles) throws(StoreError) {
        connection = try Schema.openForReading(files)
        begin = try connection.prepare("BEGIN")
        commit = try connection.prepare("COMMIT")
        byName = try connection.prepare("SELECT \(StreamState.columns) FROM stream WHERE name = ?1")
        byID = try connection.prepare("SELECT \(StreamState.columns) FROM stream WHERE id = ?1")
        lineage = try connection.prepare("SELECT lineage FROM stream WHERE id = ?1")
        index = try RecordIndex(connection)
    }

    /// Finds a stream and its tail.
    ///
    /// - Parameter now: milliseconds since 1970; decides what has expired.
    public func find(_ name: StreamName, now: Int64) throws(StoreError) -> Presence<
        (StreamState, tail: Int64)
    > {
        try view { () throws(StoreError) in
            try self.lookUp(name, now: now).mapPresent { (state) throws(StoreError) in
                (state, try self.tail(of: state))
            }
        }
    }

    /// Reads a piece of a stream by name.
    ///
    /// - Parameters:
    ///   - start: chooses the position to read from when state and tail are known; nil reads nothing and
    ///     gives an empty piece at the tail.
    ///   - limit: most bytes of content; one unit is given whatever its size.
    public func read(
        _ name: StreamName, now: Int64, limit: Int, from start: (StreamState, _ tail: Int64) -> Int64?
    ) throws(StoreError) -> Presence<StreamPiece> {
        try view { () throws(StoreError) in
            try self.lookUp(name, now: now).mapPresent { (state) throws(StoreError) in
                let tail = try self.tail(of: state)
                return try self.piece(of: state, tail: tail, from: start(state, tail) ?? tail, limit: limit)
            }
        }
    }

    /// Reads a piece of the very stream that has this id; one created later at the same name has another.
    public func read(id: Int64, now: Int64, from position: Int64, limit: Int) throws(StoreError) -> Presence<
        StreamPiece
    > {
        try view { () throws(StoreError) in
            self.byID.bind(1, id)
            return try self.state(self.byID, now: now).mapPresent { (state) throws(StoreError) in
                try self.piece(of: state, tail: try self.tail(of: state), from: position, limit: limit)
            }
        }
    }

    private func view<T>(_ body: () throws(StoreError) -> T) throws(StoreError) -> T {
        try connection.readTransaction(begin: begin, commit: commit, body)
    }

    private func lookUp(_ name: StreamName, now: Int64) throws(StoreError) -> Presence<StreamState> {
        byName.bind(1, name.text)
        return try state(byName, now: now)
    }

    private func state(_ statement: SQLiteStatement, now: Int64) throws(StoreError) -> Presence<StreamState> {
        guard try statement.step() else { return .absent }
        defer { statement.reset() }
        let state = StreamState(row: statement)
        if state.softDeleted { return .gone }
        guard state.isExpired(at: now) else { return .present(state) }
        expired = state.name
        return state.forks > 0 ? .gone : .absent
    }

    private func tail(of state: StreamState) throws(StoreError) -> Int64 {
        try index.refresh()
        return try index.tail(of: state.id) ?? state.basePosition
    }

    private func piece(
        of state: StreamState, tail: Int64, from start: Int64, limit: Int
    ) throws(StoreError) -> StreamPiece {
        // A position that was never given out counts as the tail (PROTOCOL section 2.5).
        let start = min(start, tail)
        var assembly = PieceAssembly(isJSON: state.mediaType.isJSON, start: start, limit: limit)
        if start < state.basePosition, state.fork != nil {
            try addInherited(by: state, to: &assembly)
        }
        if !assembly.isFull, assembly.end < tail {
            try index.records(of: state.id, from: assembly.end) { record in assembly.add(record) }
        }
        return StreamPiece(
            state: state, start: start, end: assembly.end, tail: tail, content: assembly.finish())
    }
}

extension StoreReader {
    /// Adds what a fork has from its ancestors, each part from the records of the stream that holds it.
    private func addInherited(by state: StreamState, to assembly: inout PieceAssembly) throws(StoreError) {
        lineage.bind(1, state.id)
        guard try lineage.step() else { return }
        let parts = Lineage(bytes: lineage.blob(0))
        lineage.reset()
        for part in parts.parts[parts.firstPart(behind: assembly.end)...] {
            guard !assembly.isFull else { return }
            try index.records(of: part.stream, from: assembly.end) { record in
                assembly.add(record, until: part.end)
            }
        }
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
