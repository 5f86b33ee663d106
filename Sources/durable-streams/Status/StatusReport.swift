import Glibc
import ServerSettings
import StreamProtocol
import Supervision
import Telemetry

/// How a server is, from what its processes count and from the kernel.
struct StatusReport {
    let snapshot: TelemetrySnapshot
    let processes: [TelemetrySnapshot.Process]
    /// What is wrong, each with what to do.
    let problems: [String]
    private let isReady: Bool
    private let rates: [Double?]
    private let now: Int64

    /// Nil when no process of it runs.
    init?(_ layout: DataDirectoryLayout) {
        guard let snapshot = Telemetry.snapshot(path: layout.telemetry) else { return nil }
        let processes = snapshot.processes(nginxPID: layout.nginxPID)
        guard processes.contains(where: { $0.state != .lost && $0.role != .nginx }) else { return nil }
        self.snapshot = snapshot
        self.processes = processes
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        now = Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
        rates =
            History.latest(path: layout.history, now: now)
            ?? Array(repeating: nil, count: History.Series.allCases.count)
        isReady = ServerReadiness.isReady(layout)
        problems = StatusReport.problems(snapshot, processes, isReady: isReady)
    }

    private static func problems(
        _ snapshot: TelemetrySnapshot, _ processes: [TelemetrySnapshot.Process], isReady: Bool
    ) -> [String] {
        var found: [String] = []
        for process in processes where process.state == .lost {
            found.append(
                "\(name(process)) (pid \(process.pid)) is lost: the log of serve says why it ended, or it is stopped"
            )
        }
        for (role, expected) in [
            (ProcessRole.worker, snapshot[.expectedWorkers]), (.live, snapshot[.expectedLive]),
        ] {
            let running = processes.filter { $0.role == role && $0.state == .running }.count
            if running < expected {
                found.append(
                    "\(running) of \(expected) \(role.name) processes run: the log of serve says why the others ended"
                )
            }
        }
        if !isReady {
            found.append(
                "the server is not ready: /readyz through a worker did not answer 200 in half a second")
        }
        return found
    }

    private static func name(_ process: TelemetrySnapshot.Process) -> String {
        process.number > 0 ? "\(process.role.name) \(process.number)" : process.role.name
    }

    private func rate(_ series: History.Series) -> Double? { rates[series.rawValue] }

    private var diskUsedPercent: Int64? {
        let total = snapshot[.diskTotal]
        return total > 0 ? (total - snapshot[.diskFree]) * 100 / total : nil
    }

    // MARK: For people

    var lines: [String] {
        var table = [["process", "pid", "version", "uptime", "memory", "cpu", "state"]]
        for process in processes {
            table.append([
                Self.name(process), "\(process.pid)", process.version.isEmpty ? "-" : process.version,
                StatusText.duration(milliseconds: now - process.startedAt),
                process.residentBytes.map(StatusText.size) ?? "-",
                process.cpuSeconds.map { StatusText.duration(milliseconds: Int64($0 * 1_000)) } ?? "-",
                process.state.name,
            ])
        }
        var facts = [
            ["ready", isReady ? "yes" : "no"],
            ["streams", "\(snapshot[.streams]) in \(snapshot[.projects]) registered projects and others"],
            [
                "content",
                "hot \(StatusText.size(snapshot[.hotBytes])), cold \(StatusText.size(snapshot[.coldBytes])) in "
                    + "\(snapshot[.segments]) segments",
            ],
            [
                "writes",
                "\(StatusText.rate(rate(.appends))) appends/s, \(StatusText.rate(rate(.appendBytes))) bytes/s, p99 "
                    + "\(rate(.appendP99).map { StatusText.rate($0) } ?? "-") ms",
            ],
            [
                "reads",
                "\(StatusText.rate(rate(.reads)))/s, \(snapshot[.longPolls] + snapshot[.eventStreams]) live readers",
            ],
            ["errors", "\(StatusText.rate(rate(.errors)))/s"],
        ]
        if let diskUsedPercent {
            facts.append([
                "disk", "\(diskUsedPercent) % of \(StatusText.size(snapshot[.diskTotal])) used",
            ])
        }
        return TextTable.lines(table) + [""] + TextTable.lines(facts)
    }

    // MARK: For programs

    var json: JSONValue {
        [
            "version": .string(ServerVersion.current),
            "ready": .flag(isReady),
            "problems": .array(problems.map { .string($0) }),
            "processes": .array(processes.map { process($0) }),
            "streams": .number(snapshot[.streams]),
            "projects": .number(snapshot[.projects]),
            "hot_bytes": .number(snapshot[.hotBytes]),
            "cold_bytes": .number(snapshot[.coldBytes]),
            "segments": .number(snapshot[.segments]),
            "live_readers": .number(snapshot[.longPolls] + snapshot[.eventStreams]),
            "rates": .object(
                [History.Series.appends, .appendBytes, .reads, .errors].map { series in
                    (series.name, rate(series).map { .text(StatusText.decimal($0)) } ?? .null)
                }),
            "disk": [
                "total": .number(snapshot[.diskTotal]), "free": .number(snapshot[.diskFree]),
                "used_percent": .number(diskUsedPercent),
            ],
        ]
    }

    private func process(_ process: TelemetrySnapshot.Process) -> JSONValue {
        [
            "role": .string(process.role.name),
            "number": .number(Int64(process.number)),
            "pid": .number(Int64(process.pid)),
            "version": process.version.isEmpty ? .null : .string(process.version),
            "started_at": .string(Timestamp.text(milliseconds: process.startedAt)),
            "uptime_seconds": .number(max(0, now - process.startedAt) / 1_000),
            "resident_bytes": .number(process.residentBytes),
            "cpu_seconds": process.cpuSeconds.map { .text(StatusText.decimal($0)) } ?? .null,
            "open_descriptors": .number(process.openDescriptors),
            "state": .string(process.state.name),
        ]
    }
}

/// Numbers for people.
enum StatusText {
    /// With the two largest units.
    static func duration(milliseconds: Int64) -> String {
        let seconds = max(0, milliseconds) / 1_000
        switch seconds {
        case ..<60: return "\(seconds)s"
        case ..<3_600: return "\(seconds / 60)m \(seconds % 60)s"
        case ..<86_400: return "\(seconds / 3_600)h \(seconds / 60 % 60)m"
        default: return "\(seconds / 86_400)d \(seconds / 3_600 % 24)h"
        }
    }

    static func size(_ bytes: Int64) -> String {
        var (size, unit) = (Double(bytes), 0)
        while size >= 1_024, unit < 4 {
            size /= 1_024
            unit += 1
        }
        return unit == 0
            ? "\(bytes) B"
            : "\(decimal((size * 10).rounded() / 10)) \(["B", "KiB", "MiB", "GiB", "TiB"][unit])"
    }

    /// A dash where nothing was sampled yet.
    static func rate(_ value: Double?) -> String { value.map { decimal(($0 * 10).rounded() / 10) } ?? "-" }

    /// To a thousandth, without a fraction where there is none.
    static func decimal(_ value: Double) -> String {
        let rounded = (value * 1_000).rounded() / 1_000
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? "\(Int64(rounded))" : "\(rounded)"
    }
}
