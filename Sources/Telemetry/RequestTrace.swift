/// When a request passed which point, and what it asked for. One belongs to each connection and is used again for each
/// of its requests, so it costs no allocation; `ServiceRequest.trace` carries it.
///
/// The transports begin it (`begin`), note the operation as soon as they know it, mark the points, and hand it to
/// `Telemetry.request` when the answer is sent. Whoever wants to log a request, or to say in the answer what took the time,
/// does it right there: all points but `sent` are known before the answer's head is written, and `milliseconds(from:to:)`
/// gives the spans. A point that the request did not pass is 0, and spans from or to it are nil:
///
/// | span | `auth` | `queue` | `commit` | `read` | `send` |
/// | --- | --- | --- | --- | --- | --- |
/// | from | received | queued | taken | judged | committed, read or judged (`answered`) |
/// | to | judged | taken | committed | read | sent |
///
/// `@unchecked Sendable`: it goes along with its request from thread to thread, through queues, and is used by one at a
/// time.
public final class RequestTrace: @unchecked Sendable {
    /// A point that a request passes; nanoseconds of `MonotonicNanoseconds`.
    public enum Point: Int, CaseIterable, Sendable {
        /// The transport has seen it come.
        case received
        /// It was allowed to do what it asks for.
        case judged
        /// Its write waits for the committing thread.
        case queued
        /// The committing thread has taken it into a group.
        case taken
        /// The group is durable.
        case committed
        /// What it reads is there.
        case read
        /// The answer was handed to the socket.
        case sent
    }

    /// What it asks for.
    public var operation = Operation.other
    /// The id that nginx gave it; empty unless somebody asked for ids. Of [A-Za-z0-9._-], 64 at most.
    public var id = ""
    private var times: (Int64, Int64, Int64, Int64, Int64, Int64, Int64) = (0, 0, 0, 0, 0, 0, 0)

    /// Makes one for a connection.
    public init() {}

    /// Forgets the request before, and notes that the next one has come.
    public func begin(at time: Int64 = MonotonicNanoseconds.now) {
        operation = .other
        if !id.isEmpty { id = "" }
        times = (time, 0, 0, 0, 0, 0, 0)
    }

    /// Notes that it passed a point.
    public func mark(_ point: Point, at time: Int64 = MonotonicNanoseconds.now) { self[point] = time }

    /// When it passed a point; 0: not at all.
    public private(set) subscript(point: Point) -> Int64 {
        get {
            switch point {
            case .received: times.0
            case .judged: times.1
            case .queued: times.2
            case .taken: times.3
            case .committed: times.4
            case .read: times.5
            case .sent: times.6
            }
        }
        set {
            switch point {
            case .received: times.0 = newValue
            case .judged: times.1 = newValue
            case .queued: times.2 = newValue
            case .taken: times.3 = newValue
            case .committed: times.4 = newValue
            case .read: times.5 = newValue
            case .sent: times.6 = newValue
            }
        }
    }

    /// When the answer was known, before it was sent: the last point passed.
    public var answered: Int64 { max(times.0, times.1, times.2, times.3, times.4, times.5) }

    /// Milliseconds from one point to another; nil when it did not pass both.
    public func milliseconds(from start: Point, to end: Point) -> Double? {
        let (start, end) = (self[start], self[end])
        return start > 0 && end > 0 ? Double(end - start) / 1e6 : nil
    }

    /// Nanoseconds from the beginning to the end; 0 before `sent`.
    public var nanoseconds: Int64 { times.6 > 0 ? times.6 - times.0 : 0 }
}
