/// What goes over the wake socket: stream ids, 8 bytes each, little-endian, one behind the other.
public enum WakeMessage {
    /// No stream's id. A worker sends it as soon as it reaches the listener, which then knows whose end it must not
    /// miss: a worker that is killed may have committed without saying so.
    public static let greeting: Int64 = 0
    /// Bytes of one id.
    public static let size = 8

    /// The moment that a number below 0 stands for, in nanoseconds of the monotonic clock: when the oldest of the commits
    /// was made whose streams follow. Nil for an id.
    public static func time(_ number: Int64) -> Int64? { number < 0 ? -number : nil }

    /// The ids as bytes.
    ///
    /// - Parameter time: when the oldest commit was made, in nanoseconds of the monotonic clock; nil: not said.
    public static func encode(_ ids: some Collection<Int64>, since time: Int64? = nil) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity((ids.count + 1) * size)
        func append(_ number: Int64) {
            withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
        }
        if let time { append(-time) }
        for id in ids { append(id) }
        return bytes
    }
}
