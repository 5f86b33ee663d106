/// What an append request brings to the decision table, less its body (PROTOCOL section 3.2).
public struct AppendConditions: Sendable {
    /// Whether the request has a body; one without only closes.
    public var hasBody: Bool
    /// Whether `Stream-Closed: true` was given.
    public var closes: Bool
    /// Media type of the body; nil when there is none to compare (close without data).
    public var mediaType: MediaType?
    /// The producer headers, if any.
    public var producer: ProducerTuple?
    /// A non-empty `Stream-Seq`, compared byte by byte.
    public var streamSequence: String?

    /// Collects the parts.
    public init(
        hasBody: Bool, closes: Bool, mediaType: MediaType?, producer: ProducerTuple?, streamSequence: String?
    ) {
        self.hasBody = hasBody
        self.closes = closes
        self.mediaType = mediaType
        self.producer = producer
        self.streamSequence = streamSequence
    }
}

/// What a stream's state brings to the decision table.
public struct AppendTarget: Sendable {
    /// Media type of the stream.
    public var mediaType: MediaType
    /// Whether the stream is closed.
    public var closed: Bool
    /// The tuple of the request that closed it.
    public var closedBy: ProducerTuple?
    /// What the stream remembers of the request's producer.
    public var producerState: ProducerState?
    /// The last accepted `Stream-Seq`.
    public var lastSequence: String?

    /// Collects the parts.
    public init(
        mediaType: MediaType, closed: Bool, closedBy: ProducerTuple?, producerState: ProducerState?,
        lastSequence: String?
    ) {
        self.mediaType = mediaType
        self.closed = closed
        self.closedBy = closedBy
        self.producerState = producerState
        self.lastSequence = lastSequence
    }
}

/// Rows 9 to 16 of the append table and the whole of the close-only table (PROTOCOL 3.2, 3.2.1). The
/// JSON rows come after them, and only for `accept`.
public enum AppendVerdict: Equatable, Sendable {
    /// Append the body, if any, and close if asked to.
    case accept
    /// This very request closed the stream before.
    case closedByThis
    /// Closing a closed stream again without a producer.
    case closedAlready
    /// The stream is closed.
    case conflictClosed
    /// The body's media type is not the stream's.
    case conflictMediaType
    /// `Stream-Seq` doesn't exceed the last one.
    case conflictSequence
    /// The producer's verdict, other than accept.
    case producer(ProducerVerdict)

    /// Judges a request.
    public init(_ request: AppendConditions, on stream: AppendTarget) {
        if stream.closed {
            if let producer = request.producer {
                self = producer == stream.closedBy ? .closedByThis : .conflictClosed
            } else {
                self = request.hasBody ? .conflictClosed : .closedAlready
            }
            return
        }
        if request.hasBody, request.mediaType != stream.mediaType {
            self = .conflictMediaType
            return
        }
        if let producer = request.producer {
            let verdict = ProducerVerdict(stored: stream.producerState, request: producer)
            guard verdict == .accept else {
                self = .producer(verdict)
                return
            }
        }
        if request.hasBody, let sequence = request.streamSequence, let last = stream.lastSequence,
            !last.utf8.lexicographicallyPrecedes(sequence.utf8)
        {
            self = .conflictSequence
            return
        }
        self = .accept
    }
}
