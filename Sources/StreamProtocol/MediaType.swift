/// The type/subtype of a `Content-Type` value: lower case, without parameters (PROTOCOL section 1).
public struct MediaType: Equatable, Hashable, Sendable {
    /// For instance `text/plain`.
    public let name: String

    /// What a stream gets whose creation names no content type.
    public static let defaultContentType = "application/octet-stream"

    /// Takes the text before the first `;`, trimmed. Nothing is refused here: a value of another shape
    /// simply equals no stream's media type.
    public init(contentType: String) {
        let isPlain = contentType.utf8.withContiguousStorageIfAvailable { bytes in
            for byte in bytes where !MediaType.isPlainByte(byte) { return false }
            return true
        }
        if isPlain ?? false {
            name = contentType
            return
        }
        var type = contentType[...]
        if let semicolon = type.utf8.firstIndex(of: UInt8(ascii: ";")) { type = type[..<semicolon] }
        name = trimmedOfWhitespace(type).lowercased()
    }

    /// What stands in a usual value, which is its own name.
    @inline(__always)
    private static func isPlainByte(_ byte: UInt8) -> Bool {
        (byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z")) || byte == UInt8(ascii: "/")
            || byte == UInt8(ascii: "-")
    }

    /// Whether the value has the shape `type/subtype` of RFC 9110 tokens; PUT treats any other as
    /// omitted (PROTOCOL section 3.1).
    public var isWellFormed: Bool {
        let parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy { !$0.isEmpty && $0.allSatisfy(isTokenByte) }
    }

    /// Whether positions count JSON messages.
    public var isJSON: Bool { name == "application/json" }

    /// Whether server-sent events carry the content as text.
    public var isText: Bool { name.hasPrefix("text/") }
}

/// The text without spaces and tabs around it (optional white space of RFC 9110 section 5.6.3).
func trimmedOfWhitespace(_ text: Substring) -> Substring {
    var text = text
    while let first = text.utf8.first, first == 0x20 || first == 0x09 { text = text.dropFirst() }
    while let last = text.utf8.last, last == 0x20 || last == 0x09 { text = text.dropLast() }
    return text
}

/// Whether a byte may stand in a token (RFC 9110 section 5.6.2).
func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
    default:
        "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}
