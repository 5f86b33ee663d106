import CFastCGI
import Glibc
import StreamAccess
import StreamProtocol
import StreamService

/// Reads a request from the parameters that nginx sends (nginx/durable-streams-server.conf).
enum FastCGIRequest {
    /// - Parameters:
    ///   - adminKey: what tells a request of the administrator's; nil: there is none.
    ///   - service: knows whether a write would be taken now; the body of one that would not is not kept.
    static func read(
        _ connection: FastCGIConnection, maximumBody: Int, adminKey: AdminKey?, service: StreamService
    ) -> ServiceRequest {
        var common = CommonParameters()
        var headers = RequestHeaders()
        var host: UnsafeBufferPointer<UInt8>?
        var clientEntityTags: String?
        var cacheEntityTag: String?
        var headerBytes = 0
        var tooLarge = false
        var asksForVerdict = false
        var isAdministrators = false

        var entry = connection.parameters
        while let pointer = entry?.pointee {
            entry = entry.map { $0 + 1 }
            let length = strlen(pointer)
            let bytes = pointer.withMemoryRebound(to: UInt8.self, capacity: length) {
                UnsafeBufferPointer(start: $0, count: length)
            }
            guard let found = memchr(pointer, Int32(UInt8(ascii: "=")), length) else { continue }
            let mark = found - UnsafeMutableRawPointer(pointer)
            let name = UnsafeBufferPointer(rebasing: bytes[..<mark])
            let value = UnsafeBufferPointer(rebasing: bytes[(mark + 1)...])
            if name.begins(with: "HTTP_") {
                headerBytes += bytes.count
                if value.count > ServiceRequest.maximumHeader { tooLarge = true }
                guard let field = field(named: name) else { continue }
                switch field {
                // nginx strips the client's own conditions from what it may cache; this one is the
                // cache's question about its copy.
                case .ifNoneMatch: cacheEntityTag = value.text
                // Most requests have no use for it.
                case .host: host = value
                default: headers.add(field, field.isOrdered ? latin1(value) : value.text)
                }
            } else if name.equals("DS_REQUEST") {
                common.readAll(value, connection.trace)
            } else if name.equals("CONTENT_TYPE") {
                // It comes without HTTP_CONTENT_TYPE, and counts in its place.
                headerBytes += bytes.count
                if value.count > ServiceRequest.maximumHeader { tooLarge = true }
                if !value.isEmpty { headers.add(.contentType, value.text) }
            } else if name.equals("DS_ORIGIN") {
                if !value.isEmpty { headers.add(.origin, value.text) }
            } else if name.equals("DS_VERDICT") {
                asksForVerdict = value.equals("1")
            } else if name.equals("DS_ADMIN") {
                isAdministrators = adminKey?.matches(value) ?? false
            } else if name.equals("DS_IF_NONE_MATCH") {
                clientEntityTags = value.text
            } else {
                common.read(name, value, connection.trace)
            }
        }
        if let clientEntityTags, !clientEntityTags.isEmpty { headers.add(.ifNoneMatch, clientEntityTags) }
        let method = common.method
        if let host, method == .put || isAdministrators { headers.add(.host, host.text) }
        let contentLength = common.contentLength

        var rejection: ServiceError? =
            tooLarge || headerBytes > ServiceRequest.maximumHeaders ? .headersTooLarge : nil
        var body: [UInt8] = []
        if contentLength > maximumBody {
            rejection = .bodyTooLarge
            connection.closeAfterwards()
        } else if contentLength >= judgedFrom, !isAdministrators, method == .post || method == .put,
            !service.takesMore()
        {
            // nginx has to get rid of it all the same, or it would answer 502.
            rejection = .busy
            connection.readToEnd()
        } else if contentLength > 0 {
            body = connection.readBody(length: contentLength)
            if body.count < contentLength {
                rejection = .bodyCutOff
                connection.closeAfterwards()
            }
        }
        if rejection == nil { connection.readToEnd() }
        var request = ServiceRequest(
            method: method, target: RequestTarget(raw: common.target), headers: headers, body: body,
            scheme: common.scheme, cacheEntityTag: cacheEntityTag, mayBeStored: common.mayBeStored,
            rejection: rejection)
        request.takesFiles = common.takesFiles
        request.trace = connection.trace
        request.asksForVerdict = asksForVerdict
        request.isAdministrators = isAdministrators
        return request
    }

    /// Bodies from this size on are looked at only if they would be stored; smaller ones cost less than asking.
    private static let judgedFrom = 16 << 10

    private static let fields: [(name: StaticString, field: HeaderField)] = [
        ("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", .accessControlRequestHeaders),
        ("HTTP_AUTHORIZATION", .authorization), ("HTTP_CONTENT_ENCODING", .contentEncoding),
        ("HTTP_HOST", .host), ("HTTP_IF_NONE_MATCH", .ifNoneMatch),
        ("HTTP_PRODUCER_EPOCH", .producerEpoch),
        ("HTTP_PRODUCER_ID", .producerID), ("HTTP_PRODUCER_SEQ", .producerSequence),
        ("HTTP_STREAM_CLOSED", .streamClosed), ("HTTP_STREAM_EXPIRES_AT", .streamExpiresAt),
        ("HTTP_STREAM_FORK_OFFSET", .streamForkOffset), ("HTTP_STREAM_FORK_SUB_OFFSET", .streamForkSubOffset),
        ("HTTP_STREAM_FORKED_FROM", .streamForkedFrom), ("HTTP_STREAM_RETENTION_AGE", .streamRetentionAge),
        ("HTTP_STREAM_RETENTION_BYTES", .streamRetentionBytes),
        ("HTTP_STREAM_RETENTION_MESSAGES", .streamRetentionMessages), ("HTTP_STREAM_SEQ", .streamSequence),
        ("HTTP_STREAM_TTL", .streamTTL),
        ("HTTP_X_DS_ADMIN", .administratorIntent), ("HTTP_SEC_FETCH_SITE", .fetchSite),
    ]

    private static func field(named name: UnsafeBufferPointer<UInt8>) -> HeaderField? {
        for candidate in fields where name.equals(candidate.name) { return candidate.field }
        return nil
    }

    /// Each byte as one character, so that values which are not UTF-8 stay apart and in their order.
    private static func latin1(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
        if bytes.allSatisfy({ $0 < 0x80 }) { return bytes.text }
        var scalars = String.UnicodeScalarView()
        for byte in bytes { scalars.append(Unicode.Scalar(byte)) }
        return String(scalars)
    }
}

extension HeaderField {
    /// Whether values are compared byte by byte.
    fileprivate var isOrdered: Bool { self == .streamSequence || self == .producerID }
}
