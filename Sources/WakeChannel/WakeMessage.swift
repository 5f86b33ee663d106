/// What goes over the wake socket: stream ids, 8 bytes each, little-endian, one behind the other.
public enum WakeMessage {
    /// No stream's id. A worker sends it as soon as it reaches the listener, which then knows whose end it must not
    /// miss: a worker that is killed may have committed without saying so.
    public static let greeting: Int64 = 0
    /// Bytes of one id.
    public static let size = 8

    /// The ids as bytes.
    public static func encode(_ ids: some Collection<Int64>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(ids.count * size)
        for id in ids {
            withUnsafeBytes(of: id.littleEndian) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }
}
