import BenchCommon
import CLinux
import Foundation

/// Runs one measurement on one thread.
final class Driver {
    private static let writerTag = 1 << 32
    private static let timerTag = 2 << 32
    /// Subscriptions that are being opened at one time.
    private static let opening = 64
    /// How long the subscriptions together may take to open, and the last deliveries to come.
    private static let patience: Int64 = 15_000_000_000

    private let options: Options
    private let writer: Writer
    private let timer: DueTimer
    private let poll: Poll
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
    private var subscribers: [any Reader] = []
    private var ready = 0
    private var closed = 0
    private var appended = 0
    private var firstDue: Int64 = 0
    private var latencies = Latencies()
    private var each: [(due: Int64, latency: Int64)] = []

    init(options: Options) throws {
        self.options = options
        writer = try Writer(options: options)
        timer = try DueTimer()
        poll = try Poll()
        subscribers.reserveCapacity(options.subscribers)
    }

    /// The result as one JSON object.
    var report: String {
        """
        {"subscribers":\(options.subscribers),"deliveries":\(latencies.count),\
        "expected":\(options.deliveries),\(latencies.members())}
        """
    }

    /// A line for each delivery: when its append was due, in nanoseconds of the monotonic clock, and how many later it came.
    var deliveries: String { each.map { "\($0.due) \($0.latency)\n" }.joined() }

    /// What went wrong with the deliveries, if anything did.
    var fault: String? {
        guard !options.holds else { return nil }
        let missing = options.deliveries - latencies.count
        let disorder = subscribers.reduce(0) { $0 + $1.disorder }
        guard missing != 0 || disorder != 0 else {
            return nil
        }
        return "\(missing) deliveries missing, \(disorder) out of order, \(closed) subscriptions closed"
    }

    /// Creates the stream, subscribes, appends, and waits for the last delivery.
    func run() throws {
        try writer.create(scratch: scratch)
        try poll.add(writer.descriptor, tag: Self.writerTag)
        try poll.add(timer.descriptor, tag: Self.timerTag)
        try subscribe()
        if options.holds { return hold() }
        // Nobody tells when a long-poll waits.
        firstDue = now() + (options.polls ? 1_000_000_000 : 10_000_000)
        timer.set(firstDue)
        let deadline = due(options.appends) + Self.patience
        let expected = options.deliveries
        while latencies.count < expected || appended < options.appends || writer.isWaiting {
            guard now() < deadline, closed < options.subscribers else {
                return
            }
            try step()
        }
    }

    /// Leaves the readers as they are until standard input ends. What comes meanwhile stays in their sockets.
    private func hold() {
        FileHandle.standardOutput.write(Data("ready\n".utf8))
        while readLine() != nil {}
    }

    /// Opens the subscriptions, some at a time, until each has had its first control event.
    private func subscribe() throws {
        let deadline = now() + Self.patience
        while ready < options.subscribers {
            while subscribers.count < min(ready + Self.opening, options.subscribers) {
                let subscriber = try open(subscribers.count)
                try poll.add(subscriber.descriptor, tag: subscribers.count)
                subscribers.append(subscriber)
                if subscriber.isReady { ready += 1 }
            }
            guard ready < options.subscribers else { return }
            try step()
            guard now() < deadline, closed == 0 else {
                throw Failure("\(ready) of \(options.subscribers) subscriptions opened, \(closed) closed")
            }
        }
    }

    /// A new reader; its messages are to begin with the first.
    private func open(_ number: Int) throws -> any Reader {
        let stream = number % options.streams
        let path = options.path(stream)
        guard options.polls else { return try Subscriber(options: options, path: path, first: stream) }
        var start = PollPosition()
        if options.peer.creates { start.first = "-1" }
        return try Poller(options: options, path: path, start: start, first: stream)
    }

    /// When the append with this index is to be sent.
    private func due(_ index: Int) -> Int64 {
        firstDue + Int64(index) * 1_000_000_000 / Int64(options.rate)
    }

    private func step() throws {
        try poll.wait(milliseconds: 100) { tag in
            switch tag {
            case Self.timerTag:
                timer.clear()
                try appendNext()
            case Self.writerTag:
                try readAnswer()
            default:
                try read(subscribers[tag])
            }
        }
    }

    private func read(_ subscriber: any Reader) throws {
        let wasReady = subscriber.isReady
        let isOpen = try subscriber.receive(scratch: scratch) { due in
            let latency = now() - due
            latencies.record(nanoseconds: latency)
            if options.tellsEach { each.append((due, latency)) }
        }
        if subscriber.isReady && !wasReady {
            ready += 1
        }
        if !isOpen {
            closed += 1
            try poll.remove(subscriber.descriptor)
        }
    }

    private func readAnswer() throws {
        let wasWaiting = writer.isWaiting
        if try !writer.receive(scratch: scratch) {
            try poll.remove(writer.descriptor)
            try writer.reconnect()
            try poll.add(writer.descriptor, tag: Self.writerTag)
        }
        if wasWaiting && !writer.isWaiting && appended < options.appends {
            timer.set(due(appended))
        }
    }

    private func appendNext() throws {
        guard appended < options.appends, !writer.isWaiting else {
            return
        }
        try writer.append(index: appended, due: due(appended))
        appended += 1
    }

    deinit {
        scratch.deallocate()
    }
}
