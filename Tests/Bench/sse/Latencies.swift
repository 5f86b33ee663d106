/// The latency of every delivery, in microseconds.
struct Latencies {
    private var samples: [UInt32]

    /// Makes room for `expected` deliveries, so that none is made while the clock runs.
    init(expected: Int) {
        samples = []
        samples.reserveCapacity(expected)
    }

    /// Deliveries so far.
    var count: Int { samples.count }

    /// Adds one delivery. One before its time counts as zero: it can't happen with one clock.
    mutating func record(nanoseconds: Int64) {
        samples.append(UInt32(clamping: nanoseconds / 1000))
    }

    /// The result as one JSON object.
    func report(options: Options) -> String {
        let sorted = samples.sorted()
        func percentile(_ percent: Int) -> String {
            guard !sorted.isEmpty else {
                return "null"
            }
            // The smallest sample that at least `percent` in a hundred do not exceed.
            return "\(sorted[max(0, (sorted.count * percent + 99) / 100 - 1)])"
        }
        return """
            {"subscribers":\(options.subscribers),"deliveries":\(count),\
            "expected":\(options.subscribers * options.appends),"p50_us":\(percentile(50)),\
            "p90_us":\(percentile(90)),"p99_us":\(percentile(99)),"max_us":\(percentile(100))}
            """
    }
}
