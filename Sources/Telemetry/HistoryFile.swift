import Glibc

/// The file of `History`: a head, then the steps of both ranges. A step is its number, the values (nil as NaN) and a
/// checksum, all of 64 bits.
final class HistoryFile {
    private let descriptor: Int32

    private static let magic: UInt64 = 0x4453_4849_5354_0001
    private static let headBytes = 64
    private static let slotWords = History.Series.allCases.count + 2
    private static let slotBytes = slotWords * 8
    private static var bytes: Int {
        headBytes + History.Range.allCases.reduce(0) { $0 + Int($1.count) } * slotBytes
    }
    private static var fingerprint: UInt64 {
        FNV.hash(History.Series.allCases.map(\.name).joined(separator: " ").utf8) ^ UInt64(bytes)
    }

    init?(reading path: String) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        guard isUsable else { return nil }
    }

    /// Begins the file anew when it is missing or not one of ours.
    init?(writing path: String) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { return nil }
        guard isUsable || begin() else { return nil }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    private var isUsable: Bool {
        var head: (UInt64, UInt64) = (0, 0)
        var status = stat()
        return fstat(descriptor, &status) == 0 && status.st_size == HistoryFile.bytes
            && withUnsafeMutableBytes(of: &head) { pread(descriptor, $0.baseAddress, 16, 0) } == 16
            && head.0 == HistoryFile.magic && head.1 == HistoryFile.fingerprint
    }

    private func begin() -> Bool {
        guard ftruncate(descriptor, 0) == 0 else { return false }
        var words = [UInt64](repeating: 0, count: HistoryFile.bytes / 8)
        words[0] = HistoryFile.magic
        words[1] = HistoryFile.fingerprint
        return words.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) } == HistoryFile.bytes
    }

    private static func position(_ range: History.Range, _ step: Int64) -> off_t {
        let first = range == .hour ? 0 : History.Range.hour.count
        return off_t(headBytes) + off_t(first + step % range.count) * off_t(slotBytes)
    }

    /// The values of a step; nil when they are not there.
    func read(_ range: History.Range, _ step: Int64) -> [Double?]? {
        guard step >= 0 else { return nil }
        var words = [UInt64](repeating: 0, count: HistoryFile.slotWords)
        let count = words.withUnsafeMutableBytes {
            pread(descriptor, $0.baseAddress, $0.count, HistoryFile.position(range, step))
        }
        // The one checksum that zeros would have is none that a step has.
        guard count == HistoryFile.slotBytes, words[0] == UInt64(step),
            words.last == HistoryFile.checksum(words.dropLast())
        else { return nil }
        return words[1..<(words.count - 1)].map { word in
            let value = Double(bitPattern: word)
            return value.isFinite ? value : nil
        }
    }

    /// Writes a step in place of the oldest one.
    func write(_ range: History.Range, _ step: Int64, _ values: [Double?]) {
        guard step >= 0 else { return }
        var words = [UInt64(step)] + values.map { ($0 ?? .nan).bitPattern }
        words.append(HistoryFile.checksum(words[...]))
        _ = words.withUnsafeBytes {
            pwrite(descriptor, $0.baseAddress, $0.count, HistoryFile.position(range, step))
        }
    }

    private static func checksum(_ words: ArraySlice<UInt64>) -> UInt64 {
        FNV.hash(words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } })
    }
}
