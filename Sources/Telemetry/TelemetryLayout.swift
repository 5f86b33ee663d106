/// Where which number lies in the shared file; all are words of 64 bits.
///
/// | words | content |
/// | --- | --- |
/// | 0 | magic |
/// | 1 | fingerprint of this layout: of all names and bounds, in order |
/// | 2 | milliseconds since 1970 at which the file was made |
/// | `counters`… | counters |
/// | `gauges`… | gauges of the server |
/// | `histograms`… | `Histogram.width` words each |
/// | `requests`… | the same for each operation and status class |
/// | `slots`… | `slotCount` processes of `slotWords` each |
enum TelemetryLayout {
    /// "DSTELEM" and a number.
    static let magic: UInt64 = 0x4453_5445_4C45_4D01

    static let counters = 8
    static let gauges = aligned(counters + Counter.allCases.count)
    static let histograms = aligned(gauges + Gauge.allCases.count)
    static let requests = histograms + Histogram.allCases.count * Histogram.width
    /// Status classes: 2xx, 3xx, 4xx, 5xx.
    static let classes = 4
    static let slots = requests + Operation.allCases.count * classes * Histogram.width
    /// Two generations of 64 workers, and some more.
    static let slotCount = 144
    static let slotWords = 32
    static let words = slots + slotCount * slotWords
    static let bytes = words * 8

    /// Words of a process's slot.
    enum Slot {
        /// 0: nobody's.
        static let pid = 0
        static let role = 1
        static let number = 2
        /// Milliseconds since 1970.
        static let startedAt = 3
        /// When it started by the kernel's count, which tells it from a later process of the same number.
        static let startTicks = 4
        static let state = 5
        /// 32 bytes of text, ended by 0 if shorter.
        static let version = 6
        static let gauges = 10
    }

    static func request(_ operation: Operation, _ statusClass: Int) -> Int {
        requests + (operation.rawValue * classes + statusClass) * Histogram.width
    }

    static func histogram(_ histogram: Histogram) -> Int {
        histograms + histogram.rawValue * Histogram.width
    }

    static func slot(_ index: Int) -> Int { slots + index * slotWords }

    /// Differs for any two layouts: FNV-1a over what they are made of.
    static let fingerprint: UInt64 = {
        var text = "\(words) \(slotCount) \(slotWords)"
        for counter in Counter.allCases { text += " \(counter)" }
        for gauge in Gauge.allCases { text += " \(gauge)" }
        for histogram in Histogram.allCases { text += " \(histogram) \(histogram.bounds)" }
        for operation in Operation.allCases { text += " \(operation)" }
        return FNV.hash(text.utf8)
    }()

    /// The next begin of a cache line.
    private static func aligned(_ word: Int) -> Int { (word + 7) / 8 * 8 }
}

/// FNV-1a with 64 bits: the same in every process.
enum FNV {
    static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
}
