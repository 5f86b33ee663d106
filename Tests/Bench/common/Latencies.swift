import Histogram

/// Latencies in an HdrHistogram: recorded in nanoseconds, three significant digits, told in microseconds.
///
/// Who records them counts from the moment at which something was due, so that a server that holds up the load is
/// charged for what it held up ("no coordinated omission"); the histogram corrects nothing afterwards.
public struct Latencies {
    /// Ten minutes; no measurement waits for so long.
    private static let longest: UInt64 = 600_000_000_000
    /// Nothing is made while the clock runs: the histogram has its full size, some 180 KiB, from the start.
    private var histogram = Histogram<UInt64>(lowestDiscernibleValue: 1000, highestTrackableValue: longest)

    /// Makes an empty one.
    public init() {}

    /// How many there are so far.
    public var count: Int { Int(histogram.totalCount) }

    /// Adds one. One before its time counts as zero: it can't happen with one clock.
    public mutating func record(nanoseconds: Int64) {
        histogram.record(min(UInt64(clamping: nanoseconds), Self.longest))
    }

    /// Adds all of another.
    public mutating func add(_ other: Latencies) {
        histogram.add(other.histogram)
    }

    /// Members of a JSON object: `"p50_us":…` and so on, null when there is none, and `"curve":[[percentile, µs],…]`,
    /// with five steps in each half of the distance to 100 %.
    public func members() -> String {
        let percentiles = [("p50", 50.0), ("p90", 90), ("p99", 99), ("p99_9", 99.9), ("max", 100)]
        let values = percentiles.map { name, percentile in
            let value = count == 0 ? "null" : "\(microseconds(histogram.valueAtPercentile(percentile)))"
            return "\"\(name)_us\":\(value)"
        }
        let curve = histogram.percentiles(ticksPerHalfDistance: 5).map {
            "[\($0.percentileLevelIteratedTo),\(microseconds(min($0.value, histogram.maxRecorded)))]"
        }
        return (values + ["\"curve\":[\(curve.joined(separator: ","))]"]).joined(separator: ",")
    }

    private func microseconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds / 100) / 10 }
}
