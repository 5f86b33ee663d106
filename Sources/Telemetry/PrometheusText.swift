/// What was counted, in the text format 0.0.4 of Prometheus
/// (https://prometheus.io/docs/instrumenting/exposition_formats/). docs/metrics.md explains each name.
public enum PrometheusText {
    /// What the answer to a scrape says it is.
    public static let contentType: StaticString = "text/plain; version=0.0.4; charset=utf-8"

    /// What a registered project takes.
    public struct Project: Sendable {
        let name: String
        let streams: Int64
        let bytes: Int64

        /// - Parameter bytes: of content.
        public init(name: String, streams: Int64, bytes: Int64) {
            (self.name, self.streams, self.bytes) = (name, streams, bytes)
        }
    }

    /// The figures of a server, read from its shared file; without one only the version.
    ///
    /// - Parameters:
    ///   - nginxPID: file with the number of nginx's master process; nil: nginx is not ours.
    ///   - version: of this program.
    ///   - projects: what becomes labels; empty unless `metrics_project_labels` is on.
    public static func render(
        telemetryPath: String, nginxPID: String?, version: String, projects: [Project] = []
    ) -> [UInt8] {
        guard let snapshot = Telemetry.snapshot(path: telemetryPath) else {
            var page = Page()
            page.addVersion(version)
            return page.bytes
        }
        return render(
            snapshot, processes: snapshot.processes(nginxPID: nginxPID), version: version, projects: projects)
    }

    /// The figures of a snapshot.
    public static func render(
        _ snapshot: TelemetrySnapshot, processes: [TelemetrySnapshot.Process], version: String,
        projects: [Project] = []
    ) -> [UInt8] {
        var page = Page()
        page.addVersion(version)
        page.addRequests(snapshot)
        for counter in Counter.allCases {
            page.begin(counter.row.name, "counter", counter.row.help)
            page.add(counter.row.name, [counter.row.label], "\(snapshot[counter])")
        }
        for histogram in Histogram.allCases {
            page.begin(histogram.row.name, "histogram", histogram.row.help)
            page.add(
                histogram.row.name, [], snapshot[histogram], divisor: histogram.isDuration ? 1_000_000_000 : 1
            )
        }
        for gauge in Gauge.allCases {
            guard let row = gauge.row else { continue }
            page.begin(row.name, "gauge", row.help)
            let value = snapshot[gauge]
            page.add(
                row.name, [row.label], gauge == .storeSampledAt ? Page.decimal(value, 1_000) : "\(value)")
        }
        page.addProcesses(processes)
        page.addProjects(projects)
        return page.bytes
    }

    /// Lines, with the prefix that all names have.
    private struct Page {
        typealias Label = (name: String, value: String)?

        var bytes: [UInt8] = []
        private var last = ""

        init() { bytes.reserveCapacity(64 << 10) }

        /// Says what the next samples are, unless the last ones were of the same name.
        mutating func begin(_ name: String, _ type: String, _ help: String) {
            guard name != last else { return }
            last = name
            let full = "durable_streams_\(name)"
            bytes.append(contentsOf: "# HELP \(full) \(help)\n# TYPE \(full) \(type)\n".utf8)
        }

        mutating func add(_ name: String, _ labels: [Label], _ value: String) {
            bytes.append(contentsOf: "durable_streams_\(name)".utf8)
            let labels = labels.compactMap { $0 }
            if !labels.isEmpty {
                let text = labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }.joined(separator: ",")
                bytes.append(contentsOf: "{\(text)}".utf8)
            }
            bytes.append(contentsOf: " \(value)\n".utf8)
        }

        mutating func add(
            _ name: String, _ labels: [Label], _ found: TelemetrySnapshot.Distribution, divisor: Int64
        ) {
            var below: UInt64 = 0
            for (bound, count) in zip(found.bounds, found.counts) {
                below &+= count
                add(
                    "\(name)_bucket", labels + [("le", Self.decimal(Int64(bound), divisor))],
                    "\(below)")
            }
            add("\(name)_bucket", labels + [("le", "+Inf")], "\(found.count)")
            add("\(name)_sum", labels, Self.decimal(Int64(clamping: found.sum), divisor))
            add("\(name)_count", labels, "\(found.count)")
        }

        mutating func addVersion(_ version: String) {
            begin("build_info", "gauge", "Always 1; the label says which version answers.")
            add("build_info", [("version", version)], "1")
        }

        mutating func addRequests(_ snapshot: TelemetrySnapshot) {
            begin(
                "requests_total", "counter", "Requests that the server has answered, by operation and status."
            )
            for operation in Operation.allCases {
                for status in 2...5 {
                    add(
                        "requests_total", [("operation", operation.name), ("status", "\(status)xx")],
                        "\(snapshot.requests(operation, status).count)")
                }
            }
            begin(
                "request_duration_seconds", "histogram",
                "How long requests took: long-polls with their wait, events until their first byte.")
            for operation in Operation.allCases {
                for status in 2...5 {
                    let found = snapshot.requests(operation, status)
                    guard found.count > 0 else { continue }
                    add(
                        "request_duration_seconds",
                        [("operation", operation.name), ("status", "\(status)xx")], found,
                        divisor: 1_000_000_000)
                }
            }
        }

        /// Of several processes in one place, such as an old generation that drains, the sum.
        mutating func addProcesses(_ processes: [TelemetrySnapshot.Process]) {
            struct Key: Hashable {
                let role, number, state: String
                var labels: [Label] { [("role", role), ("number", number), ("state", state)] }
            }
            var keys: [Key] = []
            var groups: [Key: [TelemetrySnapshot.Process]] = [:]
            for process in processes {
                let key = Key(role: process.role.name, number: "\(process.number)", state: process.state.name)
                if groups[key] == nil { keys.append(key) }
                groups[key, default: []].append(process)
            }
            func figures(
                _ name: String, _ type: String, _ help: String,
                _ value: ([TelemetrySnapshot.Process]) -> String?
            ) {
                begin(name, type, help)
                for key in keys {
                    if let text = value(groups[key] ?? []) { add(name, key.labels, text) }
                }
            }
            figures("process_up", "gauge", "Whether a process is there: 0 for one that is lost.") { found in
                "\(found.filter { $0.state != .lost }.count)"
            }
            figures("process_start_time_seconds", "gauge", "When the process started, since 1970.") { found in
                found.map(\.startedAt).max().map { Page.decimal($0, 1_000) }
            }
            figures("process_resident_memory_bytes", "gauge", "Memory of the process.") { found in
                found.compactMap(\.residentBytes).isEmpty
                    ? nil : "\(found.compactMap(\.residentBytes).reduce(0, +))"
            }
            figures("process_cpu_seconds_total", "counter", "Processor time of the process.") { found in
                found.compactMap(\.cpuSeconds).isEmpty
                    ? nil : "\(found.compactMap(\.cpuSeconds).reduce(0, +))"
            }
            figures("process_open_descriptors", "gauge", "Files and sockets that the process has open.") {
                found in
                found.compactMap(\.openDescriptors).isEmpty
                    ? nil : "\(found.compactMap(\.openDescriptors).reduce(0, +))"
            }
        }

        mutating func addProjects(_ projects: [Project]) {
            guard !projects.isEmpty else { return }
            begin("project_streams", "gauge", "Streams of a registered project.")
            for project in projects {
                add("project_streams", [("project", project.name)], "\(project.streams)")
            }
            begin("project_bytes", "gauge", "Bytes of content of a registered project.")
            for project in projects { add("project_bytes", [("project", project.name)], "\(project.bytes)") }
        }

        /// A whole number of parts as a decimal fraction, exactly: 25,000 of 10⁹ is 0.000025.
        static func decimal(_ value: Int64, _ divisor: Int64) -> String {
            let (whole, rest) = value.quotientAndRemainder(dividingBy: max(1, divisor))
            guard rest != 0 else { return "\(whole)" }
            var digits = "\(divisor + abs(rest))".dropFirst()
            while digits.hasSuffix("0") { digits = digits.dropLast() }
            return "\(value < 0 && whole == 0 ? "-" : "")\(whole).\(digits)"
        }

        private static func escaped(_ text: String) -> String {
            var result = ""
            for character in text.unicodeScalars {
                switch character {
                case "\\": result += "\\\\"
                case "\"": result += "\\\""
                case "\n": result += "\\n"
                default: result.unicodeScalars.append(character)
                }
            }
            return result
        }
    }
}
