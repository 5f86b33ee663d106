import StreamProtocol
import StreamStore

/// A refusal: what the client gets to know, and nothing else.
public struct ServiceError: Error, Equatable, Sendable {
    /// The HTTP status.
    public let status: Int
    /// Stable, upper case.
    public let code: StaticString
    /// Helps the caller.
    public let message: StaticString
    /// What a 401 or 403 asks for (RFC 6750 section 3).
    public private(set) var challenge: StaticString?
    /// What the resource takes instead of the method that came.
    public private(set) var allow: StaticString = "GET, HEAD, PUT, POST, DELETE, OPTIONS"
    /// Seconds after which to try again, with 503 and 507.
    public private(set) var retryAfter: StaticString = "5"
    /// Where a stream begins of which the part asked for is no longer kept.
    public private(set) var earliest: Offset?

    /// Names a refusal.
    public init(_ status: Int, _ code: StaticString, _ message: StaticString) {
        self.status = status
        self.code = code
        self.message = message
    }

    /// Compares by status and code.
    public static func == (left: ServiceError, right: ServiceError) -> Bool {
        left.status == right.status && left.code.description == right.code.description
    }

    private static func refusal(
        _ status: Int, _ code: StaticString, _ message: StaticString, _ challenge: StaticString
    ) -> ServiceError {
        var error = ServiceError(status, code, message)
        error.challenge = challenge
        return error
    }
    static let tokenRequired = refusal(
        401, "TOKEN_REQUIRED", "send Authorization: Bearer with a token of this project",
        #"Bearer realm="durable-streams""#)
    static let tokenInvalid = refusal(
        401, "TOKEN_INVALID", "the token is not valid here", #"Bearer error="invalid_token""#)
    static let forbidden = refusal(
        403, "FORBIDDEN", "the token does not allow this", #"Bearer error="insufficient_scope""#)
    static let publicInvalid = ServiceError(400, "PUBLIC_INVALID", "public is true or false, once")
    static let limitInvalid = ServiceError(400, "LIMIT_INVALID", "limit is a whole number from 1 to 1000")
    static var listingMethod: ServiceError {
        var error = ServiceError(405, "METHOD_NOT_ALLOWED", "the list of streams takes GET and OPTIONS")
        error.allow = "GET, OPTIONS"
        return error
    }
    static var probeMethod: ServiceError {
        var error = ServiceError(405, "METHOD_NOT_ALLOWED", "a probe takes GET, HEAD and OPTIONS")
        error.allow = "GET, HEAD, OPTIONS"
        return error
    }
    static let quotaExceeded = ServiceError(
        507, "QUOTA_EXCEEDED", "the project has all that it may take; reads and deletes go on")
    /// A refusal that transports find themselves.
    public static var busy: ServiceError {
        var error = ServiceError(503, "BUSY", "too many writes wait; try again in a second")
        error.retryAfter = "1"
        return error
    }
    static let badPath = ServiceError(
        400, "PATH_INVALID", "the path holds an empty, dot or otherwise unsafe segment")
    static let pathTooLong = ServiceError(
        414, "URI_TOO_LONG", "a path may have 2048 bytes and a query 4096")
    static let noRoute = ServiceError(
        404, "NOT_FOUND", "streams are at /v1/stream/{path} and /v1/{project}/stream/{path}")
    static let noSubscription = ServiceError(404, "SUBSCRIPTION_NOT_FOUND", "no such subscription")
    static let methodNotAllowed = ServiceError(
        405, "METHOD_NOT_ALLOWED", "a stream takes GET, HEAD, PUT, POST, DELETE and OPTIONS")
    static let noStream = ServiceError(404, "STREAM_NOT_FOUND", "no such stream")
    static let streamGone = ServiceError(410, "STREAM_GONE", "the stream was deleted")
    static let offsetInvalid = ServiceError(400, "OFFSET_INVALID", "offset is not a token of this server")
    static let offsetRequired = ServiceError(400, "OFFSET_REQUIRED", "a live read names its offset")
    static let offsetGone = ServiceError(
        410, "OFFSET_GONE", "the offset belongs to an earlier stream at this URL")
    static func offsetCut(_ earliest: Offset) -> ServiceError {
        var error = ServiceError(
            410, "OFFSET_GONE", "what was before Stream-Earliest-Offset is no longer kept")
        error.earliest = earliest
        return error
    }
    /// A refusal that transports find themselves.
    public static let malformed = ServiceError(400, "BAD_REQUEST", "the request is malformed")
    /// A refusal that transports find themselves.
    public static let headersTooLarge = ServiceError(
        431, "HEADERS_TOO_LARGE", "one header may have 8 KiB, all together 32 KiB")
    /// A refusal that transports find themselves.
    public static let bodyTooLarge = ServiceError(
        413, "BODY_TOO_LARGE", "the body exceeds the server's limit")
    /// A refusal that transports find themselves.
    public static let bodyCutOff = ServiceError(
        400, "BODY_INCOMPLETE", "the body ended before its announced length")
    static let contentEncoding = ServiceError(
        415, "CONTENT_ENCODING_UNSUPPORTED", "send the body without Content-Encoding")
    static let ttlInvalid = ServiceError(
        400, "TTL_INVALID", "Stream-TTL is a whole number of seconds without sign or leading zeros")
    static let expiresAtInvalid = ServiceError(
        400, "EXPIRES_AT_INVALID", "Stream-Expires-At is an RFC 3339 date-time with a zone")
    static let lifetimeTwice = ServiceError(
        400, "EXPIRY_CONFLICT", "give Stream-TTL or Stream-Expires-At, not both")
    static let retentionInvalid = ServiceError(
        400, "RETENTION_INVALID",
        "Stream-Retention-Age, -Bytes and -Messages are whole numbers without sign or leading zeros")
    static let forkHeaderAlone = ServiceError(
        400, "FORK_INVALID", "Stream-Fork-Offset and Stream-Fork-Sub-Offset need Stream-Forked-From")
    static let forkOffsetInvalid = ServiceError(
        400, "OFFSET_INVALID", "Stream-Fork-Offset is not a token of this server")
    static let forkSubOffsetInvalid = ServiceError(
        400, "FORK_INVALID", "Stream-Fork-Sub-Offset is a whole number without sign or leading zeros")
    static let noSource = ServiceError(404, "SOURCE_NOT_FOUND", "Stream-Forked-From names no stream here")
    static let sourceGone = ServiceError(409, "SOURCE_GONE", "the source was deleted")
    static let sourceMediaType = ServiceError(
        409, "CONTENT_TYPE_MISMATCH", "a fork has the content type of its source")
    static let forkOffsetBeyond = ServiceError(
        400, "FORK_OFFSET_INVALID", "Stream-Fork-Offset is beyond the source's tail, or of another stream")
    static let forkSubOffsetBeyond = ServiceError(
        400, "FORK_OFFSET_INVALID",
        "Stream-Fork-Sub-Offset leads beyond the append behind the offset, or beyond the tail")
    static let streamExists = ServiceError(
        409, "STREAM_EXISTS", "a stream with another configuration is at this URL")
    static let nameHeld = ServiceError(
        409, "STREAM_GONE", "the stream was deleted, and forks still need its data")
    static let jsonInvalid = ServiceError(
        400, "JSON_INVALID", "the body is not one JSON value in UTF-8, nested at most 512 deep")
    static let jsonEmpty = ServiceError(400, "JSON_EMPTY", "an empty array appends nothing")
    static let bodyEmpty = ServiceError(
        400, "BODY_EMPTY", "an append needs a body, unless Stream-Closed: true closes the stream")
    static let contentTypeMissing = ServiceError(
        400, "CONTENT_TYPE_MISSING", "an append names its Content-Type")
    static let contentTypeMismatch = ServiceError(
        409, "CONTENT_TYPE_MISMATCH", "the stream has another content type")
    static let streamClosed = ServiceError(409, "STREAM_CLOSED", "the stream is closed")
    static let sequenceConflict = ServiceError(
        409, "SEQUENCE_CONFLICT", "Stream-Seq must be greater than the last one")
    static let sequenceTooLong = ServiceError(400, "SEQUENCE_INVALID", "Stream-Seq may have 1024 bytes")
    static let producerIncomplete = ServiceError(
        400, "PRODUCER_INVALID", "Producer-Id, Producer-Epoch and Producer-Seq come together, none empty")
    static let producerNumber = ServiceError(
        400, "PRODUCER_INVALID", "Producer-Epoch and Producer-Seq are whole numbers up to 2^53 - 1")
    static let producerIDTooLong = ServiceError(400, "PRODUCER_INVALID", "Producer-Id may have 256 bytes")
    static let producerNewEpoch = ServiceError(
        400, "PRODUCER_EPOCH_INVALID", "a new epoch begins with Producer-Seq 0")
    static let producerStale = ServiceError(
        403, "PRODUCER_FENCED", "a newer epoch of this producer has taken over")
    static let producerGap = ServiceError(
        409, "PRODUCER_GAP", "requests of this producer are missing before this one")
    static let storageFull = ServiceError(
        507, "STORAGE_FULL", "there is no space left for new data; reads and deletes go on")
    static let storageFailed = ServiceError(
        500, "STORAGE_FAILED", "the server could not reach its storage; the log says why")
    static let segmentDamaged = ServiceError(
        500, "SEGMENT_DAMAGED",
        "the stored data of this part of the stream is damaged; other parts can be read")
    /// The process is starting or going down.
    public static let unavailable = ServiceError(503, "UNAVAILABLE", "the server is restarting; try again")
    static let notReady = ServiceError(503, "NOT_READY", "the data directory can't be written")

    /// How a failure of the store looks from outside.
    init(_ error: StoreError) {
        self =
            switch error.kind {
            case .full: .storageFull
            case .corrupt: .segmentDamaged
            case .busy: .busy
            default: .storageFailed
            }
    }
}

extension ServiceResponse {
    /// The one place where refusals become answers (PROTOCOL section 12.2).
    public init(_ error: ServiceError) {
        self.init(status: error.status)
        add(HeaderName.contentType, fixed: "application/json")
        add(HeaderName.cacheControl, fixed: "no-store")
        switch error.status {
        case 405: add("Allow", fixed: error.allow)
        case 503, 507: add("Retry-After", fixed: error.retryAfter)
        default: break
        }
        if let challenge = error.challenge { add("WWW-Authenticate", fixed: challenge) }
        if let earliest = error.earliest {
            add(HeaderName.streamEarliestOffset, earliest)
            exposed.insert(.retention)
        }
        body = Array(#"{"error":{"code":"\#(error.code)","message":"\#(error.message)"}}"#.utf8)
    }
}
