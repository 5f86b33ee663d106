/// Latencies in microseconds.
public struct Latencies {
    private var samples: [UInt32]

    /// Makes room for `expected` of them, so that none is made while the clock runs.
    public init(expected: Int) {
        samples = []
        samples.reserveCapacity(expected)
    }

    /// How many there are so far.
    public var count: Int { samples.count }

    /// Adds one. One before its time counts as zero: it can't happen with one clock.
    public mutating func record(nanoseconds: Int64) {
        samples.append(UInt32(clamping: nanoseconds / 1000))
    }

    /// Members of a JSON object: `"p50_us":…` and so on.
    public func members() -> String {
        let sorted = samples.sorted()
        func member(_ name: String, _ perMille: Int) -> String {
            guard !sorted.isEmpty else {
                return "\"\(name)_us\":null"
            }
            // The smallest sample that at least `perMille` in a thousand do not exceed.
            return "\"\(name)_us\":\(sorted[max(0, (sorted.count * perMille + 999) / 1000 - 1)])"
        }
        return [("p50", 500), ("p90", 900), ("p99", 990), ("p99_9", 999), ("max", 1000)]
            .map(member).joined(separator: ",")
    }
}
