import CFastCGI
import Glibc
import StreamProtocol
import StreamService

/// Reads a request from the parameters that nginx sends (nginx/durable-streams-server.conf).
enum FastCGIRequest {
    /// Limits of PROTOCOL section 13.3, in bytes.
    private static let maximumHeader = 8_192
    private static let maximumHeaders = 32_768

    private static let fields: [(name: [UInt8], field: HeaderField)] = HeaderField.allCases.compactMap {
        field in
        // CGI gives the content type a name of its own.
        if field == .contentType { return nil }
        let upper = field.name.uppercased().utf8.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : $0 }
        return (Array("HTTP_".utf8) + upper, field)
    }

    static func read(_ connection: FastCGIConnection, maximumBody: Int) -> ServiceRequest {
        var method = Method.other
        var target = ""
        var headers = RequestHeaders()
        var scheme = "http"
        var clientEntityTags: String?
        var cacheEntityTag: String?
        var contentLength = 0
        var headerBytes = 0
        var tooLarge = false
        var mayBeStored = true

        var entry = connection.parameters
        while let pointer = entry?.pointee {
            entry = entry.map { $0 + 1 }
            let length = strlen(pointer)
            let bytes = pointer.withMemoryRebound(to: UInt8.self, capacity: length) {
                UnsafeBufferPointer(start: $0, count: length)
            }
            guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let name = UnsafeBufferPointer(rebasing: bytes[..<equals])
            let value = UnsafeBufferPointer(rebasing: bytes[(equals + 1)...])
            if name.starts(with: "HTTP_".utf8) {
                headerBytes += bytes.count
                if value.count > maximumHeader { tooLarge = true }
                guard let field = field(named: name) else { continue }
                // nginx strips the client's own conditions from what it may cache; this one is the
                // cache's question about its copy.
                if field == .ifNoneMatch {
                    cacheEntityTag = text(value)
                } else {
                    headers.add(field, field.isOrdered ? latin1(value) : text(value))
                }
            } else if name.elementsEqual("REQUEST_METHOD".utf8) {
                method = Method(value)
            } else if name.elementsEqual("REQUEST_URI".utf8) {
                target = text(value)
            } else if name.elementsEqual("CONTENT_TYPE".utf8) {
                if !value.isEmpty { headers.add(.contentType, text(value)) }
            } else if name.elementsEqual("CONTENT_LENGTH".utf8) {
                contentLength = Int(text(value)) ?? 0
            } else if name.elementsEqual("REQUEST_SCHEME".utf8) {
                scheme = text(value)
            } else if name.elementsEqual("DS_UNCACHED".utf8) {
                mayBeStored = value.elementsEqual("0".utf8)
            } else if name.elementsEqual("DS_IF_NONE_MATCH".utf8) {
                clientEntityTags = text(value)
            }
        }
        if let clientEntityTags, !clientEntityTags.isEmpty { headers.add(.ifNoneMatch, clientEntityTags) }

        var request = ServiceRequest(
            method: method, target: RequestTarget(raw: target), headers: headers, scheme: scheme,
            cacheEntityTag: cacheEntityTag)
        request.mayBeStored = mayBeStored
        if tooLarge || headerBytes > maximumHeaders { request.rejection = .headersTooLarge }
        if contentLength > maximumBody {
            request.rejection = .bodyTooLarge
            connection.closeAfterwards()
        } else if contentLength > 0 {
            request.body = connection.readBody(length: contentLength)
            if request.body.count < contentLength {
                request.rejection = .bodyCutOff
                connection.closeAfterwards()
            }
        }
        return request
    }

    private static func field(named name: UnsafeBufferPointer<UInt8>) -> HeaderField? {
        for candidate in fields
        where candidate.name.count == name.count && candidate.name.elementsEqual(name) {
            return candidate.field
        }
        return nil
    }

    private static func text(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
        String(decoding: bytes, as: UTF8.self)
    }

    /// Each byte as one character, so that values which are not UTF-8 stay apart and in their order.
    private static func latin1(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
        if bytes.allSatisfy({ $0 < 0x80 }) { return text(bytes) }
        var scalars = String.UnicodeScalarView()
        for byte in bytes { scalars.append(Unicode.Scalar(byte)) }
        return String(scalars)
    }
}

extension HeaderField {
    /// Whether values are compared byte by byte.
    fileprivate var isOrdered: Bool { self == .streamSequence || self == .producerID }
}
