import StreamProtocol

/// An answer, ready for any transport: the status, the header lines as bytes, and the body.
///
/// The fixed headers of PROTOCOL section 13.1 are not among them: nginx puts them on every answer, its
/// own errors included.
public struct ServiceResponse: Sendable {
    /// The HTTP status.
    public var status: Int
    /// Header lines, each ended by CRLF.
    public private(set) var head: [UInt8] = []
    /// The body.
    public var body: [UInt8] = []
    /// Bytes of the file that nginx sends in place of the body.
    public internal(set) var fileBytes = 0
    /// Whether the answer carries a body at all: 204 and 304 have none and no length.
    public var hasBody: Bool { status != 204 && status != 304 }

    /// Whether the length of the body is said; the answer to HEAD has none to say.
    public var sendsLength = true

    /// Kinds of headers beyond the protocol, which browsers are only told of where one of the kind is.
    struct Exposed: OptionSet {
        let rawValue: UInt8
        static let retention = Exposed(rawValue: 1)
        static let access = Exposed(rawValue: 2)
    }

    var exposed: Exposed = []

    /// The line that tells nginx which kinds to name in `Access-Control-Expose-Headers`; empty for none.
    public var exposureLine: StaticString {
        switch exposed {
        case []: ""
        case .retention: "DS-Expose: retention\r\n"
        case .access: "DS-Expose: access\r\n"
        default: "DS-Expose: all\r\n"
        }
    }

    /// Begins an answer.
    public init(status: Int) {
        self.status = status
        head.reserveCapacity(320)
    }

    /// Adds a header line.
    public mutating func add(_ name: StaticString, _ value: String) {
        begin(name)
        head.append(contentsOf: value.utf8)
        end()
    }

    /// Adds a header line with a value that is always the same.
    public mutating func add(_ name: StaticString, fixed value: StaticString) {
        begin(name)
        value.withUTF8Buffer { head.append(contentsOf: $0) }
        end()
    }

    /// Adds a header line with an offset.
    public mutating func add(_ name: StaticString, _ value: Offset) {
        begin(name)
        value.write(to: &head)
        end()
    }

    /// Adds a header line with a value that is bytes already.
    public mutating func add(_ name: StaticString, _ value: [UInt8]) {
        begin(name)
        head.append(contentsOf: value)
        end()
    }

    private mutating func begin(_ name: StaticString) {
        name.withUTF8Buffer { head.append(contentsOf: $0) }
        head.append(UInt8(ascii: ":"))
        head.append(UInt8(ascii: " "))
    }

    private mutating func end() {
        head.append(0x0D)
        head.append(0x0A)
    }
}

/// The header names of the protocol, each spelled once.
enum HeaderName {
    static let cacheControl: StaticString = "Cache-Control"
    static let contentType: StaticString = "Content-Type"
    static let entityTag: StaticString = "ETag"
    static let location: StaticString = "Location"
    static let producerEpoch: StaticString = "Producer-Epoch"
    static let producerExpected: StaticString = "Producer-Expected-Seq"
    static let producerReceived: StaticString = "Producer-Received-Seq"
    static let producerSequence: StaticString = "Producer-Seq"
    /// Seconds for which nginx may answer from its copy; with 0 it also leaves the client's conditions to
    /// us. It decides alone only if it comes before any Cache-Control.
    static let proxyExpires: StaticString = "X-Accel-Expires"
    /// Has nginx send a file in place of this answer's body.
    static let proxyRedirect: StaticString = "X-Accel-Redirect"
    static let streamClosed: StaticString = "Stream-Closed"
    static let streamCursor: StaticString = "Stream-Cursor"
    static let streamExpiresAt: StaticString = "Stream-Expires-At"
    static let streamEarliestOffset: StaticString = "Stream-Earliest-Offset"
    static let streamNextOffset: StaticString = "Stream-Next-Offset"
    static let streamRetentionAge: StaticString = "Stream-Retention-Age"
    static let streamRetentionBytes: StaticString = "Stream-Retention-Bytes"
    static let streamRetentionMessages: StaticString = "Stream-Retention-Messages"
    static let streamTTL: StaticString = "Stream-TTL"
    static let streamUpToDate: StaticString = "Stream-Up-To-Date"
}
