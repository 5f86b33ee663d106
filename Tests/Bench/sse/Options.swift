import Foundation

/// A measurement that can't be made, with its reason.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// What the command line asks for.
struct Options {
    /// IPv4 address of the server; `localhost` stands for 127.0.0.1.
    private(set) var host = "127.0.0.1"
    /// TCP port of the server.
    private(set) var port: UInt16 = 80
    /// Path of the stream, from the first slash.
    private(set) var path = ""
    /// SSE connections to open.
    private(set) var subscribers = 1
    /// Messages to append.
    private(set) var appends = 100
    /// Appends per second.
    private(set) var rate = 50
    /// Bytes in each message.
    private(set) var size = 256

    static let usage =
        "usage: bench-sse --url http://HOST:PORT/PATH [--subscribers N] [--appends M] [--rate R] [--size B]"

    /// Reads pairs of a name and a value.
    init(arguments: [String]) throws {
        guard arguments.count.isMultiple(of: 2) else {
            throw Failure(Self.usage)
        }
        for index in stride(from: 0, to: arguments.count, by: 2) {
            let (name, value) = (arguments[index], arguments[index + 1])
            switch name {
            case "--url": try parse(url: value)
            case "--subscribers": subscribers = try Self.number(value, 1...15_000, of: name)
            case "--appends": appends = try Self.number(value, 1...100_000, of: name)
            case "--rate": rate = try Self.number(value, 1...10_000, of: name)
            case "--size": size = try Self.number(value, Message.header...65_536, of: name)
            default: throw Failure("unknown option \(name)\n\(Self.usage)")
            }
        }
        guard !path.isEmpty else {
            throw Failure(Self.usage)
        }
    }

    private mutating func parse(url: String) throws {
        guard let parts = URLComponents(string: url), parts.scheme == "http", let name = parts.host,
            let number = UInt16(exactly: parts.port ?? 80), parts.percentEncodedPath.hasPrefix("/")
        else {
            throw Failure("not an http URL of a stream: \(url)")
        }
        host = name == "localhost" ? "127.0.0.1" : name
        port = number
        path = parts.percentEncodedPath
    }

    private static func number(_ text: String, _ range: ClosedRange<Int>, of name: String) throws -> Int {
        guard let value = Int(text), range.contains(value) else {
            throw Failure("\(name) takes a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }
}
