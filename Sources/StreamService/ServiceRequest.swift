import StreamProtocol
import Telemetry

/// The methods that the service tells apart.
public enum Method: Equatable, Sendable {
    case get, head, put, post, delete, options
    /// Any other (405).
    case other

    /// Reads a method name, which is case-sensitive (RFC 9110 section 9.1).
    public init(_ name: UnsafeBufferPointer<UInt8>) {
        func isName(_ known: StaticString) -> Bool {
            name.count == known.utf8CodeUnitCount
                && name.indices.allSatisfy { name[$0] == known.utf8Start[$0] }
        }
        if isName("POST") {
            self = .post
        } else if isName("GET") {
            self = .get
        } else if isName("PUT") {
            self = .put
        } else if isName("HEAD") {
            self = .head
        } else if isName("DELETE") {
            self = .delete
        } else if isName("OPTIONS") {
            self = .options
        } else {
            self = .other
        }
    }
}

/// The request headers that the service looks at.
public enum HeaderField: CaseIterable, Sendable {
    case accessControlRequestHeaders, administratorIntent, fetchSite, authorization, contentEncoding,
        contentType, host, ifNoneMatch, origin
    case producerEpoch, producerID, producerSequence, streamClosed, streamExpiresAt, streamForkOffset
    case streamForkSubOffset, streamForkedFrom, streamRetentionAge, streamRetentionBytes
    case streamRetentionMessages, streamSequence, streamTTL

    /// The field's name in lower case.
    public var name: String {
        switch self {
        case .accessControlRequestHeaders: "access-control-request-headers"
        case .administratorIntent: "x-ds-admin"
        case .fetchSite: "sec-fetch-site"
        case .authorization: "authorization"
        case .contentEncoding: "content-encoding"
        case .contentType: "content-type"
        case .host: "host"
        case .ifNoneMatch: "if-none-match"
        case .origin: "origin"
        case .producerEpoch: "producer-epoch"
        case .producerID: "producer-id"
        case .producerSequence: "producer-seq"
        case .streamClosed: "stream-closed"
        case .streamExpiresAt: "stream-expires-at"
        case .streamForkOffset: "stream-fork-offset"
        case .streamForkSubOffset: "stream-fork-sub-offset"
        case .streamForkedFrom: "stream-forked-from"
        case .streamRetentionAge: "stream-retention-age"
        case .streamRetentionBytes: "stream-retention-bytes"
        case .streamRetentionMessages: "stream-retention-messages"
        case .streamSequence: "stream-seq"
        case .streamTTL: "stream-ttl"
        }
    }
}

/// Header values by field. A field given twice counts as one line joined with a comma (RFC 9110
/// section 5.3), so a doubled number is malformed rather than half ignored.
public struct RequestHeaders: Sendable {
    private var fields: [(HeaderField, String)] = []

    /// Begins without any.
    public init() {}

    /// The value without white space around it; nil when the field is absent.
    public subscript(field: HeaderField) -> String? {
        fields.first { $0.0 == field }?.1
    }

    /// The value, with an empty one counting as absent.
    public func nonEmpty(_ field: HeaderField) -> String? {
        guard let value = self[field], !value.isEmpty else { return nil }
        return value
    }

    /// Adds a line, without the white space around its value: nginx strips spaces, but no tabs.
    public mutating func add(_ field: HeaderField, _ untrimmed: String) {
        let value = trimmed(untrimmed)
        if let index = fields.firstIndex(where: { $0.0 == field }) {
            fields[index].1 += ", " + value
        } else {
            if fields.isEmpty { fields.reserveCapacity(4) }
            fields.append((field, value))
        }
    }
}

private func trimmed(_ text: String) -> String {
    func isSpace(_ byte: UInt8?) -> Bool { byte == 0x20 || byte == 0x09 }
    guard isSpace(text.utf8.first) || isSpace(text.utf8.last) else { return text }
    var rest = text[...]
    while isSpace(rest.utf8.first) { rest = rest.dropFirst() }
    while isSpace(rest.utf8.last) { rest = rest.dropLast() }
    return String(rest)
}

/// A request, whichever transport brought it.
public struct ServiceRequest: Sendable {
    /// Longest value of a header, in bytes (PROTOCOL section 13.3).
    public static let maximumHeader = 8_192
    /// Most bytes of all headers.
    public static let maximumHeaders = 32_768

    /// The method.
    public var method: Method
    /// Path and query.
    public var target: RequestTarget
    /// The headers that matter.
    public var headers: RequestHeaders
    /// The whole body.
    public var body: [UInt8]
    /// `http` or `https`, as the client used it.
    public var scheme: String
    /// The entity tag by which a cache in front asks whether its copy still holds.
    public var cacheEntityTag: String?

    /// Whether the answer may be stored by a cache in front that serves other requests from it.
    public var mayBeStored = true
    /// Whether the server in front can send a segment's file by itself.
    public var takesFiles = false
    /// Whether nginx only wants to know if it may serve the client from its cache.
    public var asksForVerdict = false
    /// Whether it came by the administrator's route, where nginx has asked for the password: no token is asked for then.
    public var isAdministrators = false
    /// Where the service notes when the request passed which point.
    public var trace: RequestTrace?
    /// Why the transport already knows that the request can't be served.
    public var rejection: ServiceError?

    /// Collects the parts.
    public init(
        method: Method, target: RequestTarget, headers: RequestHeaders, body: [UInt8] = [],
        scheme: String = "http", cacheEntityTag: String? = nil, mayBeStored: Bool = true,
        rejection: ServiceError? = nil
    ) {
        self.mayBeStored = mayBeStored
        self.rejection = rejection
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.scheme = scheme
        self.cacheEntityTag = cacheEntityTag
    }
}

extension ServiceRequest {
    /// The same in the live process: which kind of live read it is.
    public var liveOperation: Operation {
        guard operation == .read else { return operation }
        switch ReadQuery(target).mode {
        case .longPoll: return .longPoll
        case .serverSentEvents: return .events
        default: return .read
        }
    }

    /// What it asks for, as metrics and logs name it. Of live reads, which only the live process tells apart, `read`.
    public var operation: Operation {
        if asksForVerdict { return .verdict }
        if method == .options { return .preflight }
        switch target.route {
        case .health, .ready: return .health
        case .streams: return .list
        case .stream: break
        default: return .other
        }
        switch method {
        case .get: return .read
        case .post: return body.isEmpty ? .close : .append
        case .put: return .create
        case .head: return .head
        case .delete: return .delete
        case .options, .other: return .other
        }
    }
}

extension ServiceRequest {
    /// What the paths of streams stand behind on the administrator's route.
    private static let administratorsPrefix = "/admin"

    /// The administrator's request to a stream, as the public one that it stands for; nil when it is for nothing below
    /// `/admin/v1/`, spelled just so. Its answer is for nobody else.
    public var withAdministratorsRights: ServiceRequest? {
        let prefix = ServiceRequest.administratorsPrefix
        guard target.path.hasPrefix(prefix + "/v1/") else { return nil }
        let raw = target.path.dropFirst(prefix.count) + (target.query.map { "?" + $0 } ?? "")
        var request = self
        request.target = RequestTarget(raw: String(raw))
        request.isAdministrators = true
        request.mayBeStored = false
        request.takesFiles = false
        request.cacheEntityTag = nil
        request.asksForVerdict = false
        return request
    }
}
