import BenchCommon

/// What the command line asks for.
struct Options {
    /// The server.
    let target: Target
    /// The streams, which the appends go round.
    let paths: [String]
    /// Keep-alive connections.
    private(set) var connections = 64
    /// Appends per second.
    private(set) var rate = 1_000
    /// Seconds from the first append to the last.
    private(set) var seconds = 5
    /// Bytes in each append.
    private(set) var size = 256
    /// Milliseconds of appends at the same rate before those that count.
    private(set) var leadInMilliseconds = 0

    static let usage = """
        usage: bench-append --url http://HOST:PORT [--connections N] [--rate R] [--seconds S] [--size B] \
        [--lead-in MILLISECONDS] PATH [PATH ...]
        """

    /// Appends that count.
    var appends: Int { rate * seconds }
    /// Those before.
    var leadIn: Int { rate * leadInMilliseconds / 1_000 }

    /// Reads pairs of a name and a value, then paths.
    init(arguments: [String]) throws {
        var found: Target?
        var rest = arguments[...]
        while let name = rest.first, name.hasPrefix("--") {
            guard let value = rest.dropFirst().first else {
                throw Failure(Self.usage)
            }
            rest = rest.dropFirst(2)
            switch name {
            case "--url": found = try Target(url: value)
            case "--connections": connections = try number(value, 1...10_000, of: name)
            case "--rate": rate = try number(value, 1...100_000, of: name)
            case "--seconds": seconds = try number(value, 1...600, of: name)
            case "--size": size = try number(value, 1...65_536, of: name)
            case "--lead-in": leadInMilliseconds = try number(value, 0...60_000, of: name)
            default: throw Failure("unknown option \(name)\n\(Self.usage)")
            }
        }
        guard let found, !rest.isEmpty, rest.allSatisfy({ $0.hasPrefix("/") }) else {
            throw Failure(Self.usage)
        }
        target = found
        paths = Array(rest)
    }
}
