import StreamProtocol
import Telemetry

/// What is made of the times of requests: a line for slow ones, a header for all.
public struct RequestWatch: Sendable {
    /// Nanoseconds from which a request is slow; what a live reader waits does not count.
    public var slowerThan = Int64.max
    /// Whether answers say what took the time.
    public var showsTiming = false
    /// Hears of slow requests, when they are answered.
    public var report: @Sendable (SlowRequest) -> Void = { _ in }

    /// Begins with one that makes nothing of them.
    public init() {}

    /// Looks at a request whose answer has been sent.
    public func look(
        at trace: RequestTrace, status: Int, path: @autoclosure () -> String, bytesIn: Int, bytesOut: Int
    ) {
        let nanoseconds = trace.nanoseconds - trace.waited
        guard nanoseconds >= slowerThan else { return }
        var slow = SlowRequest(
            operation: trace.operation, status: status, path: path(), requestID: trace.id,
            nanoseconds: nanoseconds)
        slow.bytesIn = bytesIn
        slow.bytesOut = bytesOut
        slow.phases = RequestTrace.Phase.allCases.compactMap { phase in
            trace.nanoseconds(of: phase).map { (phase.rawValue, $0) }
        }
        if trace.waited > 0 { slow.phases.append(("wait", trace.waited)) }
        report(slow)
    }

    /// An answer with `Server-Timing`, if that is asked for: the phases that are over.
    ///
    /// `send` is not among them: it begins when the head, which this is part of, is written.
    public func timed(_ response: ServiceResponse, _ trace: RequestTrace) -> ServiceResponse {
        guard showsTiming else { return response }
        var parts = RequestTrace.Phase.allCases.compactMap { phase in
            trace.nanoseconds(of: phase).map { "\(phase.rawValue);dur=\(RequestWatch.milliseconds($0))" }
        }
        if trace.waited > 0 { parts.append("wait;dur=\(RequestWatch.milliseconds(trace.waited))") }
        guard !parts.isEmpty else { return response }
        var response = response
        response.add("Server-Timing", parts.joined(separator: ", "))
        return response
    }

    /// With three digits.
    static func milliseconds(_ nanoseconds: Int64) -> String {
        let microseconds = max(0, nanoseconds) / 1_000
        let digits = String(microseconds % 1_000)
        return "\(microseconds / 1_000)." + String(repeating: "0", count: 3 - digits.count) + digits
    }
}

/// A request that took long.
public struct SlowRequest: Sendable {
    /// What it asked for.
    public var operation: Operation
    /// The HTTP status of its answer.
    public var status: Int
    /// The path as it came, without its query.
    public var path: String
    /// The id that nginx gave it.
    public var requestID: String?
    /// How long it took, without what a live reader waited.
    public var nanoseconds: Int64
    /// Bytes of its body.
    public var bytesIn = 0
    /// Bytes of the body of the answer.
    public var bytesOut = 0
    /// Nanoseconds of each phase that it had.
    public var phases: [(name: String, nanoseconds: Int64)] = []

    /// Collects what each has.
    public init(operation: Operation, status: Int, path: String, requestID: String?, nanoseconds: Int64) {
        self.operation = operation
        self.status = status
        self.path = path
        self.requestID = requestID
        self.nanoseconds = nanoseconds
    }
}
