import BenchCommon
import CLinux
import Foundation

/// Runs one measurement on one thread.
final class Driver {
    private static let timerTag = 1 << 32
    private static let signalTag = 2 << 32
    /// How long the last answers may take to come.
    private static let patience: Int64 = 15_000_000_000

    private let options: Options
    private let requests: [[UInt8]]
    private let timer: DueTimer
    private let poll: Poll
    private let stopSignal: Int32
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
    private var connections: [Connection] = []
    /// When the append that each connection waits with was due.
    private var waiting: [Int64]
    /// The connections without a request.
    private var idle: IdleConnections
    /// Appends to send with those of the lead-in: all, or those that were due at SIGTERM.
    private var wanted: Int
    private var sent = 0
    /// When the lead-in begins, and the first append that counts.
    private var begin: Int64 = 0
    private var firstDue: Int64 { due(options.leadIn) }
    private var lastAnswer: Int64 = 0
    private var lost = 0
    private var statuses: [Int: Int] = [:]
    /// Of the lead-in: whether it was answered well has to be known, but nothing else.
    private var leadInStatuses: [Int: Int] = [:]
    private var leadInAnswered = 0
    private var latencies = Latencies()
    /// Of answers 503, which are not among the others.
    private var refusals = Latencies()
    /// How long appends that counted waited for a connection.
    private var waits = Latencies()

    /// Connects.
    init(options: Options) throws {
        self.options = options
        let body = [UInt8](repeating: UInt8(ascii: "a"), count: options.size)
        requests = options.paths.map {
            options.target.write(
                method: "POST", path: $0, contentType: "application/octet-stream", body: body)
        }
        timer = try DueTimer()
        poll = try Poll()
        stopSignal = try terminationDescriptor()
        waiting = Array(repeating: 0, count: options.connections)
        idle = IdleConnections(count: options.connections)
        wanted = options.leadIn + options.appends
        for tag in 0..<options.connections {
            let connection = try Connection(target: options.target)
            try poll.add(connection.descriptor, tag: tag)
            connections.append(connection)
        }
        try poll.add(timer.descriptor, tag: Self.timerTag)
        try poll.add(stopSignal, tag: Self.signalTag)
    }

    /// Appends that were to be sent and have no answer.
    private var unanswered: Int { wanted - answered - lost }
    private var answered: Int { leadInAnswered + latencies.count + refusals.count }

    /// What went wrong, if anything did.
    var fault: String? {
        unanswered == 0 && lost == 0
            ? nil : "\(unanswered) appends unanswered, \(lost) lost with their connection"
    }

    /// The result as one JSON object.
    var report: String {
        let seconds = Double(max(0, lastAnswer - firstDue)) / 1e9
        return """
            {"appends":\(max(0, wanted - options.leadIn)),"answered":\(answered - leadInAnswered),\
            "unanswered":\(unanswered),"lost":\(lost),"seconds":\(seconds),\
            "statuses":\(object(statuses)),"lead_in":\(object(leadInStatuses)),\(latencies.members()),\
            "refused":{\(refusals.members())},"sent_late":{\(waits.members())}}
            """
    }

    private func object(_ counts: [Int: Int]) -> String {
        let members = counts.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }
        return "{\(members.joined(separator: ","))}"
    }

    /// Sends every append when it is due, or as soon after as a connection is free, and waits for the answers.
    func run() throws {
        begin = now() + 10_000_000
        timer.set(begin)
        while unanswered > 0, now() < due(wanted) + Self.patience {
            try poll.wait(milliseconds: 100) { tag in
                switch tag {
                case Self.timerTag:
                    timer.clear()
                case Self.signalTag:
                    try stop()
                default:
                    try receive(tag)
                }
            }
            try sendDue()
        }
    }

    /// When the append with this index is to be sent.
    private func due(_ index: Int) -> Int64 {
        begin + Int64(index) * 1_000_000_000 / Int64(options.rate)
    }

    /// Sends what is due and finds a connection. What then waits for the time waits for the timer; what waits
    /// for a connection is sent at an answer.
    private func sendDue() throws {
        while sent < wanted, !idle.isEmpty {
            let time = due(sent)
            guard time <= now() else {
                timer.set(time)
                return
            }
            let tag = idle.take()
            waiting[tag] = time
            if sent >= options.leadIn { waits.record(nanoseconds: now() - time) }
            try connections[tag].send(requests[sent % requests.count])
            sent += 1
        }
    }

    private func receive(_ tag: Int) throws {
        let connection = connections[tag]
        let wasWaiting = connection.isWaiting
        switch try connection.receive(scratch: scratch) {
        case .open:
            return
        case .answered(let status, let closes):
            count(status, due: waiting[tag])
            idle.put(tag)
            guard closes else {
                return
            }
        case .closed:
            if wasWaiting {
                lost += 1
                idle.put(tag)
            }
        }
        try poll.remove(connection.descriptor)
        try connection.reconnect()
        try poll.add(connection.descriptor, tag: tag)
    }

    private func count(_ status: Int, due: Int64) {
        guard due >= firstDue else {
            leadInAnswered += 1
            leadInStatuses[status, default: 0] += 1
            return
        }
        lastAnswer = now()
        if status == 503 {
            refusals.record(nanoseconds: lastAnswer - due)
        } else {
            latencies.record(nanoseconds: lastAnswer - due)
        }
        statuses[status, default: 0] += 1
    }

    /// Lets go of what is not due yet.
    private func stop() throws {
        try poll.remove(stopSignal)
        while wanted > sent, due(wanted - 1) > now() {
            wanted -= 1
        }
    }

    deinit {
        scratch.deallocate()
        close(stopSignal)
    }
}

/// The connections without a request, which are taken in the order in which they came: a ring, since there may be
/// thousands.
private struct IdleConnections {
    private var tags: [Int]
    private var first = 0
    private var count: Int

    /// All of them.
    init(count: Int) {
        tags = Array(0..<count)
        self.count = count
    }

    var isEmpty: Bool { count == 0 }

    /// The one that has been idle for longest; only if there is one.
    mutating func take() -> Int {
        defer {
            first = (first + 1) % tags.count
            count -= 1
        }
        return tags[first]
    }

    mutating func put(_ tag: Int) {
        tags[(first + count) % tags.count] = tag
        count += 1
    }
}

/// A descriptor that becomes readable at SIGTERM, which then does not end the process.
private func terminationDescriptor() throws -> Int32 {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGTERM)
    guard sigprocmask(SIG_BLOCK, &signals, nil) == 0 else {
        throw Failure.system("sigprocmask")
    }
    let descriptor = signalfd(-1, &signals, Int32(SFD_CLOEXEC))
    guard descriptor >= 0 else {
        throw Failure.system("signalfd")
    }
    return descriptor
}
