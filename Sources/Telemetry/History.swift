import Glibc

/// How the server was in the last hour and day: a file of fixed size with a ring of steps of 10 s and one of 5 min. The
/// process that does the chores writes it.
///
/// Each step has a checksum, so one that was cut off by a crash is left out when read; a file that is damaged as a whole is
/// begun anew. Without a file, or on a full disk, nothing is kept, and nobody is disturbed.
public enum History {
    /// What is kept of each step.
    public enum Series: Int, CaseIterable, Sendable {
        case appends, appendBytes, reads, errors, liveReaders, cacheHitRate, diskUsed, appendP99

        /// The name in the API; rates are means of a step, levels those at its end. Of five minutes `append_p99` is the
        /// highest of its steps, all else the mean.
        public var name: String {
            switch self {
            case .appends: "appends_per_second"
            case .appendBytes: "append_bytes_per_second"
            case .reads: "reads_per_second"
            case .errors: "errors_per_second"
            case .liveReaders: "live_readers"
            case .cacheHitRate: "cache_hit_rate"
            case .diskUsed: "disk_used_bytes"
            case .appendP99: "append_p99_milliseconds"
            }
        }
    }

    /// A part of the past.
    public enum Range: String, CaseIterable, Sendable {
        case hour, day

        /// Seconds of a step.
        public var step: Int64 { self == .hour ? 10 : 300 }
        /// How many steps there are.
        public var count: Int64 { self == .hour ? 360 : 288 }
    }

    /// What was kept of a range.
    public struct View: Sendable, Equatable {
        /// Which.
        public let range: Range
        /// Milliseconds since 1970 at which the first step begins.
        public let start: Int64
        /// By `Series`, the values of all steps, oldest first; nil where nothing was sampled.
        public let values: [[Double?]]

        /// The values of one series.
        public subscript(series: Series) -> [Double?] { values[series.rawValue] }

        /// The answer of `/admin/api/history`.
        public func json() -> [UInt8] {
            var text =
                #"{"range":"\#(range.rawValue)","step_seconds":\#(range.step),"start":\#(start),"series":{"#
            text += Series.allCases.map { series in
                let numbers = self[series].map { $0.map(View.number) ?? "null" }.joined(separator: ",")
                return "\"\(series.name)\":[\(numbers)]"
            }.joined(separator: ",")
            return Array((text + "}}").utf8)
        }

        /// To a thousandth.
        private static func number(_ value: Double) -> String {
            let rounded = (value * 1_000).rounded() / 1_000
            return rounded == rounded.rounded() && abs(rounded) < 1e15 ? "\(Int64(rounded))" : "\(rounded)"
        }
    }

    /// Reads a range; all nil when there is no file.
    ///
    /// - Parameter now: milliseconds since 1970.
    public static func read(path: String, range: Range, now: Int64) -> View {
        let file = HistoryFile(reading: path)
        // Of five minutes what there is up to now counts; ten seconds are awaited.
        let newest = now / (range.step * 1_000) - (range == .hour ? 1 : 0)
        let oldest = newest - range.count + 1
        var values = [[Double?]](
            repeating: Array(repeating: nil, count: Int(range.count)), count: Series.allCases.count)
        if let file {
            for (index, step) in (oldest...newest).enumerated() {
                guard let found = file.read(range, step) else { continue }
                for series in Series.allCases { values[series.rawValue][index] = found[series.rawValue] }
            }
        }
        return View(range: range, start: oldest * range.step * 1_000, values: values)
    }

    /// The values of the newest complete step of ten seconds, by `Series`; nil when there is none of the last half minute.
    public static func latest(path: String, now: Int64) -> [Double?]? {
        guard let file = HistoryFile(reading: path) else { return nil }
        let newest = now / (Range.hour.step * 1_000) - 1
        for step in stride(from: newest, through: newest - 2, by: -1) {
            if let found = file.read(.hour, step) { return found }
        }
        return nil
    }
}

/// Makes steps of what is counted. Used by one thread.
public final class HistoryWriter {
    private let file: HistoryFile?
    private var last: (snapshot: TelemetrySnapshot, at: Int64)?

    /// Opens the file, or begins it anew.
    public init(path: String) { file = HistoryFile(writing: path) }

    /// Looks whether a step has come to its end, and writes it then; call it once a second or so.
    ///
    /// - Parameter now: milliseconds since 1970.
    public func take(_ snapshot: @autoclosure () -> TelemetrySnapshot, now: Int64) {
        let step = History.Range.hour.step * 1_000
        guard let (before, since) = last else { return last = (snapshot(), now) }
        guard now / step != since / step else { return }
        let after = snapshot()
        last = (after, now)
        let elapsed = now - since
        // The clock was set, or the machine slept: there is no telling how much belongs where.
        guard elapsed >= 500, elapsed <= 3 * step else { return }
        let ended = now / step - 1
        file?.write(.hour, ended, HistoryWriter.values(before, after, seconds: Double(elapsed) / 1_000))
        summarise(ended)
    }

    /// Writes the five minutes that a step belongs to, as far as they are known.
    private func summarise(_ step: Int64) {
        guard let file else { return }
        let inDay = History.Range.day.step / History.Range.hour.step
        let period = step / inDay
        let steps = (period * inDay...step).compactMap { file.read(.hour, $0) }
        let values = History.Series.allCases.map { series -> Double? in
            let found = steps.compactMap { $0[series.rawValue] }
            if series == .appendP99 { return found.max() }
            return found.isEmpty ? nil : found.reduce(0, +) / Double(found.count)
        }
        file.write(.day, period, values)
    }

    private static func values(
        _ before: TelemetrySnapshot, _ after: TelemetrySnapshot, seconds: Double
    ) -> [Double?] {
        func grown(_ counter: Counter) -> Double {
            after[counter] >= before[counter] ? Double(after[counter] - before[counter]) : 0
        }
        func requests(_ operation: Operation, _ status: Int) -> Double {
            Double(after.requests(operation, status).since(before.requests(operation, status)).count)
        }
        let hits = grown(.cacheHits)
        let served = hits + grown(.cacheRevalidated) + grown(.cacheStale) + grown(.cacheUpdating)
        let asked = served + grown(.cacheMisses) + grown(.cacheExpired)
        let reads: [(Operation, Int)] = [(.read, 2), (.read, 3), (.longPoll, 2), (.events, 2)]
        let readCount = reads.map { requests($0.0, $0.1) }.reduce(hits, +)
        let errors = Operation.allCases.map { requests($0, 5) }.reduce(0, +)
        let appends = after.requests(.append, 2).since(before.requests(.append, 2))
        return History.Series.allCases.map { series in
            switch series {
            case .appends: grown(.appends) / seconds
            case .appendBytes: grown(.appendedBytes) / seconds
            case .reads: readCount / seconds
            case .errors: errors / seconds
            case .liveReaders: Double(after[.longPolls] + after[.eventStreams])
            case .cacheHitRate: asked > 0 ? served / asked : nil
            case .diskUsed: after[.diskTotal] > 0 ? Double(after[.diskTotal] - after[.diskFree]) : nil
            case .appendP99: appends.quantile(0.99).map { $0 / 1e6 }
            }
        }
    }
}
