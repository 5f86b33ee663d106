/// The first part of an answer.
public struct HTTPHead: Sendable, Equatable {
    /// The version that was spoken: `1.0`, `1.1`, `2`, …
    public var version: String
    /// The status, 200...999.
    public var status: Int
    /// The reason phrase; empty with HTTP/2.
    public var reason: String
    /// The header fields.
    public var fields: HTTPFields
}

/// An answer as a whole.
public struct HTTPResponse: Sendable {
    /// Status and header fields.
    public var head: HTTPHead
    /// The body; empty where a callback took it.
    public var body: [UInt8]
    /// About the connection it came on.
    public var facts: ConnectionFacts
    /// Whether a callback ended it before its end.
    public var isCut: Bool

    /// The status.
    public var status: Int { head.status }
    /// The header fields.
    public var fields: HTTPFields { head.fields }
    /// The body as text; bytes that are not UTF-8 are replaced.
    public var text: String { String(decoding: body, as: UTF8.self) }
}

/// What is known of a connection.
public struct ConnectionFacts: Sendable, Equatable {
    /// The other side's IP address.
    public var address = ""
    /// The other side's port.
    public var port = 0
    /// This side's IP address.
    public var localAddress = ""
    /// Whether the connection was there already.
    public var isReused = false
    /// The TLS version, such as `TLSv1.3`; nil without TLS, and for a connection that was there already.
    public var tlsVersion: String?
    /// The TLS cipher, such as `TLS_AES_256_GCM_SHA384`; nil as ``tlsVersion``.
    public var tlsCipher: String?
    /// The certificates that the server showed, its own first: names such as `Subject`, `Issuer`, `Start date`,
    /// `Expire date` with their values. Empty without TLS, and unless ``HTTPOptions/wantsCertificates``.
    public var certificates: [[HTTPField]] = []
    /// Seconds from the beginning until the address was known.
    public var lookupSeconds = 0.0
    /// Seconds from the beginning until the connection stood, without TLS.
    public var connectSeconds = 0.0
    /// Seconds from the beginning until the TLS session stood; 0 without TLS.
    public var tlsSeconds = 0.0
    /// Seconds from the beginning to the first byte of the answer.
    public var firstByteSeconds = 0.0
    /// Seconds from the beginning to the end.
    public var totalSeconds = 0.0
}

/// How a client connects.
public struct HTTPOptions: Sendable {
    /// Which version of HTTP is asked for.
    public enum Version: Sendable {
        /// HTTP/2 where TLS offers it, else HTTP/1.1.
        case automatic
        /// HTTP/1.1 only.
        case http1
    }

    /// The version asked for.
    public var version = Version.automatic
    /// A file of certificates (PEM) that are trusted in place of the system's.
    public var caFile: String?
    /// Whether the server's certificate and name are checked.
    public var checksCertificate = true
    /// Whether ``ConnectionFacts/certificates`` are wanted.
    public var wantsCertificates = false
    /// Names that are looked up here instead of in DNS: `host:port:address`.
    public var addresses: [String] = []
    /// Seconds until a connection, TLS included, must stand.
    public var connectLimit = 10.0
    /// The `User-Agent` field.
    public var userAgent = "durable-streams"

    /// The defaults.
    public init() {}
}
