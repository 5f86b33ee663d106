import BenchCommon

/// What the command line asks for.
struct Options {
    /// The stream.
    let target: Target
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
        var found: Target?
        for index in stride(from: 0, to: arguments.count, by: 2) {
            let (name, value) = (arguments[index], arguments[index + 1])
            switch name {
            case "--url": found = try Target(url: value)
            case "--subscribers": subscribers = try number(value, 1...15_000, of: name)
            case "--appends": appends = try number(value, 1...100_000, of: name)
            case "--rate": rate = try number(value, 1...10_000, of: name)
            case "--size": size = try number(value, Message.header...65_536, of: name)
            default: throw Failure("unknown option \(name)\n\(Self.usage)")
            }
        }
        guard let found, found.path.hasPrefix("/") else {
            throw Failure(Self.usage)
        }
        target = found
    }
}
