import StreamProtocol
import StreamStore

extension StreamName {
    /// A stream of the default project.
    public static func named(_ path: String) -> StreamName {
        StreamName(project: StreamName.defaultProject, path: path)
    }
}

extension PreparedBody {
    /// A body as the service would prepare it.
    public static func prepared(_ text: String, _ type: String) -> PreparedBody {
        if text.isEmpty { return .none }
        let bytes = Array(text.utf8)
        return MediaType(contentType: type).isJSON ? .json(JSONMessages(body: bytes)) : .bytes(bytes)
    }
}

extension CreateRequest {
    /// A creation with the usual defaults.
    public static func make(
        _ path: String, type: String = "text/plain", body: String = "", lifetime: Lifetime = .unlimited,
        closed: Bool = false, now: Int64 = TestClock.start
    ) -> CreateRequest {
        CreateRequest(
            name: .named(path), contentType: type, lifetime: lifetime, closed: closed,
            body: .prepared(body, type), now: now)
    }
}

extension AppendRequest {
    /// An append, or with an empty body a closure, with the usual defaults.
    public static func make(
        _ path: String, _ body: String = "", type: String = "text/plain", closes: Bool = false,
        producer: ProducerTuple? = nil, sequence: String? = nil, now: Int64 = TestClock.start
    ) -> AppendRequest {
        AppendRequest(
            name: .named(path),
            conditions: AppendConditions(
                hasBody: !body.isEmpty, closes: closes,
                mediaType: body.isEmpty ? nil : MediaType(contentType: type), producer: producer,
                streamSequence: sequence),
            body: .prepared(body, type), now: now)
    }
}

extension TestStore {
    /// Creates a stream.
    @discardableResult
    public func create(_ request: CreateRequest) throws(StoreError) -> CreateOutcome {
        try committer.perform { (session) throws(StoreError) in try session.create(request) }
    }

    /// Appends.
    @discardableResult
    public func append(_ request: AppendRequest) throws(StoreError) -> AppendOutcome {
        try committer.perform { (session) throws(StoreError) in try session.append(request) }
    }

    /// Deletes a stream.
    @discardableResult
    public func delete(_ path: String, now: Int64 = TestClock.start) throws(StoreError) -> DeleteOutcome {
        try committer.perform { (session) throws(StoreError) in try session.delete(.named(path), now: now) }
    }
}

extension StoreReader {
    /// A stream's piece from a position; nil when the stream is absent or gone.
    public func piece(
        _ path: String, from position: Int64 = 0, limit: Int = 1 << 20, now: Int64 = TestClock.start
    ) throws(StoreError) -> StreamPiece? {
        guard
            case .present(let piece) = try read(
                .named(path), now: now, limit: limit, from: { _, _ in position })
        else { return nil }
        return piece
    }

    /// Everything from a position on, put together from pieces.
    public func everything(
        _ path: String, from position: Int64 = 0, limit: Int = 1 << 20, now: Int64 = TestClock.start
    ) throws(StoreError) -> [UInt8]? {
        var content: [UInt8] = []
        var position = position
        while let piece = try piece(path, from: position, limit: limit, now: now) {
            if piece.isEmpty { return content }
            if piece.state.mediaType.isJSON {
                if !content.isEmpty { content.append(UInt8(ascii: ",")) }
                content += piece.content.dropFirst().dropLast()
            } else {
                content += piece.content
            }
            position = piece.end
        }
        return nil
    }
}

extension CreateOutcome {
    /// The state of the stream that was created; nil for every other outcome.
    public var created: StreamState? { if case .created(let state, _) = self { state } else { nil } }
}

extension AppendOutcome {
    /// The tail's position after an append that was accepted; nil for every other outcome.
    public var acceptedTail: Int64? {
        if case .accepted(let tail, _) = self { tail.position } else { nil }
    }

    /// The verdict of an append that was not accepted.
    public var verdict: AppendVerdict? { if case .judged(let verdict, _) = self { verdict } else { nil } }

    /// Whether there was no stream.
    public var isAbsent: Bool { if case .absent = self { true } else { false } }
}

/// A piece's content as text.
public func text(_ content: [UInt8]?) -> String? { content.map { String(decoding: $0, as: UTF8.self) } }
