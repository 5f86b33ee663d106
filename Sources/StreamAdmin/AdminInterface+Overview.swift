import StreamProtocol
import StreamService
import Telemetry

/// The server as a whole.
extension AdminInterface {
    func overview() throws(AdminError) -> ServiceResponse {
        let snapshot = options.snapshot()
        let now = options.clock()
        let processes = snapshot?.processes() ?? []
        let started =
            processes.first { $0.role == .supervisor }?.startedAt ?? processes.map(\.startedAt).min()
        let rates = rates.measure(snapshot, now: now) ?? lastRates(now)
        return AdminAnswer.document(
            .object([
                ("version", .string(options.version)), ("auth", .string(options.auth)),
                ("now", .integer(now)),
                ("started_at", .optional(started)), ("ready", .bool(options.isReady())),
                ("streams", sampled(.streams, snapshot)), ("projects", sampled(.projects, snapshot)),
                ("messages_appended", count(.appendedMessages, snapshot)),
                ("hot_bytes", sampled(.hotBytes, snapshot)), ("cold_bytes", sampled(.coldBytes, snapshot)),
                ("segments", sampled(.segments, snapshot)), ("disk", disk(snapshot)),
                (
                    "rates",
                    .object([
                        ("appends_per_second", .optional(rates?.appends)),
                        ("append_bytes_per_second", .optional(rates?.bytes)),
                        ("reads_per_second", .optional(rates?.reads)),
                        ("errors_per_second", .optional(rates?.errors)),
                    ])
                ), ("live", live(snapshot)), ("cache", cache(snapshot)),
            ]))
    }

    /// Those of the last step that was kept.
    private func lastRates(_ now: Int64) -> RateMeter.Rates? {
        guard let step = History.latest(path: options.history, now: now) else { return nil }
        func value(_ series: History.Series) -> Double { step[series.rawValue] ?? 0 }
        return RateMeter.Rates(
            appends: value(.appends), bytes: value(.appendBytes), reads: value(.reads), errors: value(.errors)
        )
    }

    private func live(_ snapshot: TelemetrySnapshot?) -> JSON {
        guard let snapshot else {
            return .object([("readers", .null), ("long_polls", .null), ("event_streams", .null)])
        }
        let (polls, events) = (snapshot[.longPolls], snapshot[.eventStreams])
        return .object([
            ("readers", .integer(polls + events)), ("long_polls", .integer(polls)),
            ("event_streams", .integer(events)),
        ])
    }

    private func cache(_ snapshot: TelemetrySnapshot?) -> JSON {
        guard let snapshot else {
            return .object([("hits", .null), ("misses", .null), ("hit_rate", .null)])
        }
        let (hits, misses) = Cached.counts(snapshot)
        return .object([
            ("hits", .integer(Int64(clamping: hits))), ("misses", .integer(Int64(clamping: misses))),
            ("hit_rate", hits + misses == 0 ? .null : .number(Double(hits) / Double(hits + misses))),
        ])
    }

    private func disk(_ snapshot: TelemetrySnapshot?) -> JSON {
        guard let snapshot, snapshot[.diskTotal] > 0 else { return .null }
        let (total, free) = (snapshot[.diskTotal], snapshot[.diskFree])
        return .object([
            ("total", .integer(total)), ("free", .integer(free)),
            ("used_percent", .number(100 * Double(total - free) / Double(total))),
            ("high_water_percent", .integer(Int64(options.diskHighWater))),
        ])
    }

    /// Null until the process that does the chores has looked.
    private func sampled(_ gauge: Gauge, _ snapshot: TelemetrySnapshot?) -> JSON {
        guard let snapshot, snapshot[.storeSampledAt] > 0 else { return .null }
        return .integer(snapshot[gauge])
    }

    private func count(_ counter: Counter, _ snapshot: TelemetrySnapshot?) -> JSON {
        snapshot.map { .integer(Int64(clamping: $0[counter])) } ?? .null
    }

    func processes() -> ServiceResponse {
        let now = options.clock()
        let all = options.snapshot()?.processes(nginxPID: options.nginxPID) ?? []
        return AdminAnswer.document(
            .object([
                (
                    "processes",
                    .array(
                        all.map { process in
                            .object([
                                ("role", .string(process.role.name)),
                                ("number", process.number == 0 ? .null : .integer(Int64(process.number))),
                                ("pid", .integer(Int64(process.pid))),
                                ("version", process.version.isEmpty ? .null : .string(process.version)),
                                ("started_at", .integer(process.startedAt)),
                                ("uptime_seconds", .integer(max(0, now - process.startedAt) / 1_000)),
                                ("resident_bytes", .optional(process.residentBytes)),
                                ("cpu_seconds", .optional(process.cpuSeconds)),
                                ("open_descriptors", .optional(process.openDescriptors)),
                                ("state", .string(process.state.name)),
                            ])
                        })
                )
            ]))
    }

    func history(_ request: ServiceRequest) throws(AdminError) -> ServiceResponse {
        let range: History.Range
        switch request.target.query {
        case "range=hour": range = .hour
        case "range=day": range = .day
        default: throw AdminError(400, "RANGE_INVALID", "range is hour or day, once")
        }
        let found = History.read(path: options.history, range: range, now: options.clock())
        return AdminAnswer.bytes(found.json(), type: "application/json")
    }
}

/// What nginx's cache did.
enum Cached {
    static func counts(_ snapshot: TelemetrySnapshot) -> (hits: UInt64, misses: UInt64) {
        func sum(_ counters: [Counter]) -> UInt64 { counters.reduce(0) { $0 &+ snapshot[$1] } }
        return (
            sum([.cacheHits, .cacheRevalidated, .cacheStale, .cacheUpdating]),
            sum([.cacheMisses, .cacheExpired])
        )
    }
}

/// How much happens in a second: what was counted between two looks.
struct RateMeter {
    struct Rates {
        var appends = 0.0
        var bytes = 0.0
        var reads = 0.0
        var errors = 0.0
    }

    private var marks: [(time: Int64, snapshot: TelemetrySnapshot)] = []

    /// Milliseconds that are looked back on.
    private static let span: Int64 = 10_000

    /// Rates since the oldest look of the last ten seconds; nil for the first look.
    mutating func measure(_ snapshot: TelemetrySnapshot?, now: Int64) -> Rates? {
        guard let snapshot else { return nil }
        defer {
            if marks.last.map({ now - $0.time >= 1_000 }) ?? true { marks.append((now, snapshot)) }
        }
        while marks.count > 1, marks[1].time <= now - RateMeter.span { marks.removeFirst() }
        guard let first = marks.first, now - first.time >= 500 else { return nil }
        let seconds = Double(now - first.time) / 1_000
        let operations = Operation.allCases
        func errors(_ one: TelemetrySnapshot) -> UInt64 {
            operations.reduce(0) { $0 &+ one.requests($1, 5).count }
        }
        func reads(_ one: TelemetrySnapshot) -> UInt64 {
            one.requests(.read).count &+ Cached.counts(one).hits
        }
        func rate(_ count: (TelemetrySnapshot) -> UInt64) -> Double {
            Double(Int64(clamping: count(snapshot)) - Int64(clamping: count(first.snapshot))) / seconds
        }
        return Rates(
            appends: rate { $0[.appends] }, bytes: rate { $0[.appendedBytes] }, reads: rate(reads),
            errors: rate(errors))
    }
}
