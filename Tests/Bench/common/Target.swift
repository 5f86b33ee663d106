import Foundation

/// What an http URL on the command line names.
public struct Target {
    /// IPv4 address of the server.
    public let host: String
    /// TCP port of the server.
    public let port: UInt16
    /// The path from the first slash; empty when the URL has none.
    public let path: String

    /// Takes a URL apart; `localhost` stands for 127.0.0.1.
    public init(url: String) throws {
        guard let parts = URLComponents(string: url), parts.scheme == "http", let name = parts.host,
            let number = UInt16(exactly: parts.port ?? 80)
        else {
            throw Failure("not an http URL: \(url)")
        }
        host = name == "localhost" ? "127.0.0.1" : name
        port = number
        path = parts.percentEncodedPath
    }

    /// The value of the header `Host`.
    public var authority: String { "\(host):\(port)" }

    /// The bytes of a POST or PUT.
    public func write(method: String, path: String, contentType: String, body: [UInt8]) -> [UInt8] {
        let head =
            "\(method) \(path) HTTP/1.1\r\nHost: \(authority)\r\n"
            + "Content-Type: \(contentType)\r\nContent-Length: \(body.count)\r\n\r\n"
        return Array(head.utf8) + body
    }
}

/// The number that an option takes.
public func number(_ text: String, _ range: ClosedRange<Int>, of name: String) throws -> Int {
    guard let value = Int(text), range.contains(value) else {
        throw Failure("\(name) takes a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
}
