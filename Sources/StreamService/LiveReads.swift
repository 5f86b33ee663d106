import StreamAccess
import StreamProtocol
import StreamStore
import Telemetry

/// The decisions of long-poll and server-sent events (PROTOCOL sections 3.5, 3.6 and 10), without any
/// waiting: the transport waits, and asks again when a stream has changed.
public struct LiveReads: Sendable {
    private let service: StreamService

    /// Most bytes of content in one event, so that a slow reader holds little (PROTOCOL section 10.2: an
    /// append of up to 64 KiB is never split).
    public static let eventLimit = 65_536

    /// Reads what `service` serves.
    public init(_ service: StreamService) { self.service = service }

    /// What a live request leads to.
    public enum Opening: Sendable {
        /// An answer at once.
        case answer(ServiceResponse)
        /// A long-poll that waits.
        case poll(LongPoll)
        /// An event stream: its response head, and where it begins.
        case events(ServiceResponse, EventStream)
    }

    /// Judges a live request.
    public func open(_ request: ServiceRequest, reader: StoreReader) -> Opening {
        let crossOrigin =
            request.isAdministrators
            ? nil
            : service.options.access.crossOrigin(
                project: request.target.route.project, origin: request.headers[.origin])
        switch RequestTrace.working(on: request.trace, { judge(request, reader) }) {
        case .answer(var response):
            response.add(crossOrigin)
            return .answer(response)
        case .poll(var poll):
            poll.crossOrigin = crossOrigin
            return .poll(poll)
        case .events(var head, let stream):
            head.add(crossOrigin)
            return .events(head, stream)
        }
    }

    /// Whether `open` needs no disk for a request: a long-poll at the tail of a stream that `reader` has read since the
    /// last commit of anybody. So come those who were just answered.
    public func waitsAtKnownTail(_ request: ServiceRequest, reader: StoreReader) -> Bool {
        guard case .stream(let name) = request.target.route, let known = reader.recall(name, now: now)
        else { return false }
        let query = ReadQuery(request.target)
        guard query.mode == .longPoll else { return false }
        return switch query.offset {
        case .now: true
        case .token(let token): token.position >= known.tail
        case .start: known.state.earliest >= known.tail
        case nil: false
        }
    }

    private func judge(_ request: ServiceRequest, _ reader: StoreReader) -> Opening {
        do throws(ServiceError) {
            if let rejection = request.rejection { throw rejection }
            guard case .stream(let name) = request.target.route else {
                switch request.target.route {
                case .tooLong: throw ServiceError.pathTooLong
                case .unsafe: throw ServiceError.badPath
                case .control(let project):
                    _ = try service.authorise(request, project: project, need: .token)
                    throw ServiceError.noSubscription
                case .streams(let project):
                    // `live` means nothing there.
                    return .answer(
                        try service.list(request, project: project) { () throws(StoreError) in
                            try reader.listing()
                        })
                default: throw ServiceError.noRoute
                }
            }
            let grant = try service.authoriseRead(request, name, reader)
            request.trace?.mark(.judged)
            guard request.method == .get else { throw ServiceError.methodNotAllowed }
            return try open(request, name, reader, lease: grant.lease)
        } catch {
            request.trace?.markFailedRead()
            service.removeExpired(reader)
            return .answer(ServiceResponse(error))
        }
    }

    private func open(
        _ request: ServiceRequest, _ name: StreamName, _ reader: StoreReader, lease: AccessControl.Lease?
    ) throws(ServiceError) -> Opening {
        let query = ReadQuery(request.target)
        // nginx takes parameter names in any letter case for live reads; here only `live` is one.
        guard query.mode.isLive else { return .answer(try service.catchUp(request, name, reader)) }
        let now = service.options.clock()
        let limit = query.mode == .serverSentEvents ? LiveReads.eventLimit : service.options.readChunk
        var refusal: ServiceError?
        // What the start position was, before it was held to the tail.
        var asked: Int64?
        let piece = try service.reading { () throws(StoreError) in
            try reader.read(name, now: now, limit: limit) { state, tail in
                do throws(ServiceError) {
                    guard let offset = query.offset else { throw ServiceError.offsetInvalid }
                    guard query.hasOffset else { throw ServiceError.offsetRequired }
                    asked = try ReadAnswers.position(offset, in: state) ?? tail
                } catch {
                    refusal = error
                }
                // Events are read by the reader's own pace, later.
                return query.mode == .serverSentEvents ? nil : asked
            }
        }
        request.trace?.mark(.read)
        if let refusal { throw refusal }
        service.touch(piece.state, now: now)
        // What anyone may read goes on without a token.
        let lease = piece.state.isPublic ? nil : lease
        let start = asked ?? piece.tail
        var generator = SystemRandomNumberGenerator()
        let cursor = Cursor.answer(to: query.cursor, at: now, using: &generator)
        if query.mode == .serverSentEvents {
            let stream = EventStream(
                state: piece.state, position: min(start, piece.tail), cursor: cursor, lease: lease)
            return .events(head(of: stream, from: query.offset, tail: piece.tail), stream)
        }
        let isNow = query.offset == .now
        let conditions = ReadAnswers.Conditions(
            start: query.offset?.token, isTagged: !isNow, ifNoneMatch: request.headers[.ifNoneMatch],
            variant: service.options.access.originGeneration(of: piece.state),
            isPrivate: service.isPrivate(piece.state, request), cursor: cursor)
        let poll = LongPoll(
            state: piece.state, position: start, lease: lease, conditions: conditions)
        if start > piece.tail { return .answer(ReadAnswers.piece(piece, conditions, now: now)) }
        return answer(poll, piece, now: now).map(Opening.answer) ?? .poll(poll)
    }

    /// Reads on behind a position, for whoever waits there.
    ///
    /// - Parameter id: of the very stream that the request found.
    public func look(
        at id: Int64, from position: Int64, for mode: ReadMode, reader: StoreReader
    ) -> Result<StreamPiece, ServiceError> {
        let limit = mode == .serverSentEvents ? LiveReads.eventLimit : service.options.readChunk
        func read(from position: Int64) throws(ServiceError) -> StreamPiece {
            let piece = try service.reading { () throws(StoreError) in
                try reader.read(id: id, now: now, from: position, limit: limit)
            }
            guard position >= piece.state.earliest else {
                throw ServiceError.offsetCut(piece.state.offset(piece.state.earliest))
            }
            return piece
        }
        do throws(ServiceError) {
            var piece = try read(from: position)
            if mode == .serverSentEvents, EventStream.completesNothing(piece) {
                // What completes it fits into no piece with it.
                piece.join(try read(from: piece.end))
            }
            return .success(piece)
        } catch {
            service.removeExpired(reader)
            return .failure(error)
        }
    }

    /// What a look from a position would find behind an append that a wake-up has told of.
    ///
    /// - Returns: nil where only the store can tell: somebody there lacks more than this append, or has it already, or
    ///   the stream may have come to its end.
    public func piece(_ appended: Appended, of state: StreamState, from position: Int64) -> StreamPiece? {
        guard appended.start == position, !state.isExpired(at: now) else { return nil }
        return StreamPiece(appended, of: state)
    }

    /// What a waiting long-poll gets for what was seen; nil while there is nothing to say.
    public func answer(_ poll: LongPoll, _ seen: Result<StreamPiece, ServiceError>) -> ServiceResponse? {
        var response: ServiceResponse?
        switch seen {
        case .success(let piece): response = answer(poll, piece, now: now)
        case .failure(let error): response = ServiceResponse(error)
        }
        response?.add(poll.crossOrigin)
        return response
    }

    /// 204 when the time of a long-poll is over, or the server is going down.
    public func timeout(_ poll: LongPoll) -> ServiceResponse {
        service.touch(poll.state, now: service.options.clock())
        var response = ReadAnswers.nothing(
            at: poll.state.offset(poll.position), cursor: poll.conditions.cursor)
        response.add(poll.crossOrigin)
        return response
    }

    private func answer(_ poll: LongPoll, _ piece: StreamPiece, now: Int64) -> ServiceResponse? {
        if !piece.isEmpty {
            service.touch(piece.state, now: now)
            return ReadAnswers.piece(piece, poll.conditions, now: now)
        }
        guard piece.state.closed else { return nil }
        return ReadAnswers.nothing(at: piece.state.offset(piece.tail), cursor: nil)
    }

    /// Keeps a stream alive that somebody follows.
    public func touch(_ state: StreamState) { service.touch(state, now: service.options.clock()) }

    /// Who may do what.
    public var access: AccessControl { service.options.access }

    /// Milliseconds since 1970.
    public var now: Int64 { service.options.clock() }

    private func head(of stream: EventStream, from start: RequestedOffset?, tail: Int64) -> ServiceResponse {
        var response = ServiceResponse(status: 200)
        response.add(HeaderName.contentType, fixed: "text/event-stream")
        response.add(HeaderName.cacheControl, fixed: "no-cache")
        if stream.encoding == .base64 { response.add("Stream-SSE-Data-Encoding", fixed: "base64") }
        if start == .start, stream.state.earliest > 0 {
            response.add(HeaderName.streamEarliestOffset, stream.state.offset(stream.state.earliest))
            response.exposed.insert(.retention)
        }
        if stream.state.closed, stream.position >= tail {
            response.add(HeaderName.streamNextOffset, stream.state.offset(tail))
            response.add(HeaderName.streamUpToDate, fixed: "true")
            response.add(HeaderName.streamClosed, fixed: "true")
        }
        response.add("X-Accel-Buffering", fixed: "no")
        return response
    }
}

/// A long-poll that waits at the tail.
public struct LongPoll: Sendable {
    /// The stream as it was when the request came.
    public let state: StreamState
    /// The position it waits at.
    public let position: Int64
    /// For how long the token of the request is good; nil: for ever.
    public let lease: AccessControl.Lease?
    let conditions: ReadAnswers.Conditions
    var crossOrigin: CrossOrigin?
}
