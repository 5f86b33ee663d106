import BenchCommon

/// What the command line asks for.
struct Options {
    /// The stream; with several, the beginning of their names.
    let target: Target
    /// Whom to talk to.
    private(set) var peer = Peer.server
    /// Whether readers poll, instead of following events.
    private(set) var polls = false
    /// Connections of readers to open.
    private(set) var subscribers = 1
    /// Streams, which get messages in turn and have equally many readers each.
    private(set) var streams = 1
    /// Messages to append.
    private(set) var appends = 100
    /// Appends per second.
    private(set) var rate = 50
    /// Whether the readers only wait, until standard input ends, instead of messages being sent.
    private(set) var holds = false
    /// Whether each delivery is told on standard error.
    private(set) var tellsEach = false
    /// Bytes in each message.
    private(set) var size = 256

    static let usage =
        "usage: bench-sse --url http://HOST:PORT/PATH [--peer server|writer|nchan] [--mode events|poll|hold] "
        + "[--subscribers N] [--streams K] [--appends M] [--rate R] [--size B] [--each yes|no]"

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
            case "--peer":
                guard let known = Peer(rawValue: value) else { throw Failure(Self.usage) }
                peer = known
            case "--mode":
                guard ["events", "poll", "hold"].contains(value) else { throw Failure(Self.usage) }
                polls = value == "poll"
                holds = value == "hold"
            case "--subscribers": subscribers = try number(value, 1...15_000, of: name)
            case "--streams": streams = try number(value, 1...1_000, of: name)
            case "--appends": appends = try number(value, 1...100_000, of: name)
            case "--rate": rate = try number(value, 1...10_000, of: name)
            case "--each": tellsEach = value == "yes"
            case "--size": size = try number(value, Message.header...65_536, of: name)
            default: throw Failure("unknown option \(name)\n\(Self.usage)")
            }
        }
        guard let found, found.path.hasPrefix("/"), subscribers.isMultiple(of: streams),
            appends.isMultiple(of: streams)
        else {
            throw Failure(Self.usage)
        }
        target = found
    }

    /// Messages that have to arrive, over all readers.
    var deliveries: Int { subscribers * appends / streams }

    /// The path of a stream.
    func path(_ stream: Int) -> String { streams == 1 ? target.path : "\(target.path)-\(stream)" }
}
