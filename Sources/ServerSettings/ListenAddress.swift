import Glibc

/// The address and port that nginx listens on.
public struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
    /// An IPv4 or IPv6 address in text form, without brackets.
    public let host: String
    /// The TCP port, 1...65535.
    public let port: Int

    /// What ``init(_:)`` accepts, for error messages.
    public static let grammar =
        "an address and a port such as 127.0.0.1:4437, [::1]:4437 or 0.0.0.0:4437 (a port alone is refused: "
        + "say which address may reach the server)"

    /// Parses `IPv4:port`, `[IPv6]:port` or `localhost:port` (which means 127.0.0.1); nil for anything else.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let address = text[..<colon]
        guard let port = WholeNumber.parse(String(text[text.index(after: colon)...])),
            (1...65535).contains(port)
        else { return nil }
        if address.hasPrefix("["), address.hasSuffix("]") {
            let inner = String(address.dropFirst().dropLast())
            guard Self.isAddress(inner, family: AF_INET6) else { return nil }
            host = inner
        } else if address == "localhost" {
            host = "127.0.0.1"
        } else {
            guard Self.isAddress(String(address), family: AF_INET) else { return nil }
            host = String(address)
        }
        self.port = port
    }

    /// What stands in a field before it gets its value.
    static let neutral = ListenAddress(host: "127.0.0.1", port: 1)

    private init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// True for an IPv6 address.
    public var isIPv6: Bool { host.contains(":") }

    /// Whether only this machine can reach it (RFC 6890: 127.0.0.0/8 and ::1).
    public var isLoopback: Bool { isIPv6 ? host == "::1" : host.hasPrefix("127.") }

    /// `host:port` with brackets around an IPv6 address: the form of URLs and of nginx's `listen`.
    public var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

    private static func isAddress(_ text: String, family: Int32) -> Bool {
        var storage = in6_addr()
        return inet_pton(family, text, &storage) == 1
    }
}
