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
    /// Nanoseconds that a live reader waited for something to happen.
    public var waited: Int64 = 0
    private var idBytes = InlineArray<64, UInt8>(repeating: 0)
    private var idLength = 0
    private var times: (Int64, Int64, Int64, Int64, Int64, Int64, Int64) = (0, 0, 0, 0, 0, 0, 0)

    /// Makes one for a connection.
    public init() {}

    /// Forgets the request before, and notes that the next one has come.
    public func begin(at time: Int64 = MonotonicNanoseconds.now) {
        operation = .other
        idLength = 0
        waited = 0
        times = (time, 0, 0, 0, 0, 0, 0)
    }

    /// The id that nginx gave it, 1 to 64 of [A-Za-z0-9._-]; nil without one.
    public var id: String? {
        guard idLength > 0 else { return nil }
        return String(unsafeUninitializedCapacity: idLength) { buffer in
            for index in 0..<idLength { buffer[index] = idBytes[index] }
            return idLength
        }
    }

    /// Takes the id that nginx gave it. Text is made of it only when somebody asks.
    /// Not generic: from another module each byte would cost a hundred instructions.
    public func setID(_ bytes: UnsafeBufferPointer<UInt8>) {
        idLength = 0
        guard bytes.count <= 64 else { return }
        for index in bytes.indices {
            guard RequestTrace.isOfID(bytes[index]) else { return }
            idBytes[index] = bytes[index]
        }
        idLength = bytes.count
    }

    /// The same of a text.
    public func setID(_ text: String) {
        var text = text
        text.withUTF8 { setID($0) }
    }

    private static func isOfID(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
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
