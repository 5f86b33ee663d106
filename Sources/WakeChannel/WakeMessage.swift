import StreamStore

/// What goes over the wake socket: numbers of 8 bytes, little-endian, one behind the other.
///
/// | Number | Meaning |
/// | --- | --- |
/// | 0 | ``greeting`` |
/// | an id | look again at this stream |
/// | below 0 | when the oldest of the commits was made whose streams follow |
/// | ``offer`` | the worker could tell what was appended, if the other side says that it understands it |
/// | ``appendMark`` + bytes of a payload | id, start and end follow, then the payload, filled up with zeros to whole numbers |
///
/// A live process that knows an append no better than the ids takes an offer for the id of an unknown stream, says nothing,
/// and is sent ids alone.
public enum WakeMessage {
    /// No stream's id. A worker sends it as soon as it reaches the listener, which then knows whose end it must not
    /// miss: a worker that is killed may have committed without saying so.
    public static let greeting: Int64 = 0
    /// No stream's id. Comes with the greeting.
    public static let offer = Int64.max
    /// The answer of a live process that understands appends. Each other answer is none.
    public static let acceptance: UInt8 = 1
    /// Bytes of one number.
    public static let size = 8

    /// Far below every moment.
    static let appendMark = Int64.min
    /// Numbers ahead of a payload.
    private static let headNumbers = 4
    /// Most appends in one message, and most bytes of them all: with more at once there is no time to be won by it, and
    /// most of them are no reader's.
    static let appendLimit = 8
    static let byteLimit = Appended.limit

    /// One part of a message.
    public enum Part: Equatable, Sendable {
        /// A worker is there.
        case greeting
        /// It could tell appends.
        case offer
        /// When the oldest commit was made, in nanoseconds of the monotonic clock.
        case committed(Int64)
        /// A stream that is to be looked at.
        case changed(Int64)
        /// An append, and where its payload lies.
        case appended(id: Int64, start: Int64, end: Int64, payload: Range<Int>)
    }

    /// Bytes that no sender can have meant.
    public struct Malformed: Error {}

    /// Takes the next part.
    ///
    /// - Parameter place: where it begins; moved behind it.
    /// - Returns: nil while it is not there as a whole.
    public static func next(
        in bytes: UnsafeRawBufferPointer, at place: inout Int
    ) throws(Malformed) -> Part? {
        func number(_ index: Int) -> Int64 {
            Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: place + index * size, as: Int64.self))
        }
        let available = bytes.count - place
        guard available >= size else { return nil }
        let first = number(0)
        if first < appendMark / 2 {
            let length = first - appendMark
            guard length <= Int64(Appended.limit) else { throw Malformed() }
            guard available >= headNumbers * size else { return nil }
            let (id, start, end) = (number(1), number(2), number(3))
            guard id > greeting, id < offer, start >= 0, end > start else { throw Malformed() }
            let payload = place + headNumbers * size
            let whole = filledUp(Int(length))
            guard bytes.count - payload >= whole else { return nil }
            place = payload + whole
            return .appended(id: id, start: start, end: end, payload: payload..<payload + Int(length))
        }
        place += size
        return switch first {
        case greeting: .greeting
        case offer: .offer
        case ..<0: .committed(-first)
        default: .changed(first)
        }
    }

    private static func filledUp(_ length: Int) -> Int { (length + size - 1) / size * size }

    /// Adds a number.
    public static func write(_ number: Int64, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Adds the moment of the oldest commit, in nanoseconds of the monotonic clock.
    public static func write(committed time: Int64, to bytes: inout [UInt8]) { write(-time, to: &bytes) }

    /// Adds what a commit has changed.
    ///
    /// - Parameter appends: whether what was appended may be told.
    public static func write(_ changes: [StreamChange], appends: Bool, to bytes: inout [UInt8]) {
        var room = appends && changes.count <= appendLimit ? byteLimit : -1
        for change in changes {
            guard let appended = change.appended, appended.payload.count <= room else {
                write(change.id, to: &bytes)
                continue
            }
            let length = appended.payload.count
            room -= length
            write(appendMark + Int64(length), to: &bytes)
            write(change.id, to: &bytes)
            write(appended.start, to: &bytes)
            write(appended.end, to: &bytes)
            bytes.append(contentsOf: appended.payload)
            for _ in length..<filledUp(length) { bytes.append(0) }
        }
    }
}
