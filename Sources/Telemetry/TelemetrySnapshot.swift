import Glibc

/// What was counted up to a moment.
public struct TelemetrySnapshot: Sendable {
    /// A process in the table.
    public struct Process: Sendable, Equatable {
        /// What it is there for.
        public var role: ProcessRole
        /// Counts the processes of one role from 1; 0 for the only one.
        public var number: Int
        /// Its process id.
        public var pid: Int32
        /// Of its program; empty where unknown.
        public var version: String
        /// Milliseconds since 1970.
        public var startedAt: Int64
        /// How it is.
        public var state: ProcessState
        /// Bytes of memory; nil of one that is lost.
        public var residentBytes: Int64?
        /// Seconds of processor time; nil of one that is lost.
        public var cpuSeconds: Double?
        /// Files and sockets; nil of one that is lost, and where this user may not ask.
        public var openDescriptors: Int64?
        /// What `Telemetry` was told by it, by `Gauge`.
        var gauges: [Int64] = []
    }

    /// How values are spread.
    public struct Distribution: Sendable, Equatable {
        /// Upper ends of the buckets: nanoseconds, or a number. What is beyond has one bucket more in `counts`.
        public let bounds: [UInt64]
        /// How many values each bucket has.
        public var counts: [UInt64]
        /// Of all values.
        public var sum: UInt64

        /// How many values there are.
        public var count: UInt64 { counts.reduce(0, &+) }

        /// Those that came since an earlier snapshot.
        public func since(_ earlier: Distribution) -> Distribution {
            var result = self
            result.counts = zip(counts, earlier.counts).map { $0 >= $1 ? $0 - $1 : $0 }
            result.sum = sum >= earlier.sum ? sum - earlier.sum : sum
            return result
        }

        /// The value below which a share of the values is, taken as evenly spread inside a bucket; nil without values.
        public func quantile(_ share: Double) -> Double? {
            let all = count
            guard all > 0 else { return nil }
            let rank = share * Double(all)
            var below = 0.0
            for (index, count) in counts.enumerated() where count > 0 {
                if below + Double(count) >= rank {
                    let low = index == 0 ? 0 : Double(bounds[index - 1])
                    guard index < bounds.count else { return low }
                    return low + (Double(bounds[index]) - low) * (rank - below) / Double(count)
                }
                below += Double(count)
            }
            return bounds.last.map { Double($0) }
        }
    }

    private let words: [UInt64]

    init(words: [UInt64]) { self.words = words }

    /// When counting began, in milliseconds since 1970; 0 in private memory.
    public var madeAt: Int64 { Int64(clamping: words[2]) }

    /// A counter.
    public subscript(counter: Counter) -> UInt64 { words[TelemetryLayout.counters + counter.rawValue] }

    /// A gauge of the server; of processes, the sum over those that live.
    public subscript(gauge: Gauge) -> Int64 {
        guard gauge.isOfProcess else {
            return Int64(bitPattern: words[TelemetryLayout.gauges + gauge.rawValue])
        }
        return slots.reduce(0) { sum, process in
            process.state == .lost ? sum : sum &+ process.gauges[gauge.rawValue]
        }
    }

    /// A histogram.
    public subscript(histogram: Histogram) -> Distribution {
        distribution(at: TelemetryLayout.histogram(histogram), histogram.bounds)
    }

    /// How long requests took, in nanoseconds.
    ///
    /// - Parameter statusClass: the first digit of the status, 2...5.
    public func requests(_ operation: Operation, _ statusClass: Int) -> Distribution {
        distribution(
            at: TelemetryLayout.request(operation, min(max(statusClass - 2, 0), TelemetryLayout.classes - 1)),
            Histogram.durations)
    }

    /// How long requests of any status took, in nanoseconds.
    public func requests(_ operation: Operation) -> Distribution {
        var all = requests(operation, 2)
        for statusClass in 3...5 {
            let some = requests(operation, statusClass)
            all.counts = zip(all.counts, some.counts).map { $0 &+ $1 }
            all.sum = all.sum &+ some.sum
        }
        return all
    }

    private func distribution(at start: Int, _ bounds: [UInt64]) -> Distribution {
        Distribution(
            bounds: bounds, counts: Array(words[start...(start + bounds.count)]),
            sum: words[start + Histogram.sumIndex])
    }

    // MARK: Processes

    /// The processes of the server, by role and number, with what the kernel says of them.
    ///
    /// - Parameter nginxPID: file with the number of nginx's master process, which counts nothing itself; its figures
    ///   include those of its workers.
    public func processes(nginxPID: String? = nil) -> [Process] {
        var found = slots.map { process in
            var process = process
            guard process.state != .lost, var facts = ProcessFacts(pid: process.pid) else { return process }
            facts.countDescriptors(pid: process.pid)
            process.residentBytes = facts.residentBytes
            process.cpuSeconds = facts.cpuSeconds
            process.openDescriptors = facts.openDescriptors
            return process
        }
        if let nginxPID, let nginx = TelemetrySnapshot.nginx(nginxPID) { found.append(nginx) }
        found.sort {
            ($0.role.rawValue, $0.number, $0.startedAt) < ($1.role.rawValue, $1.number, $1.startedAt)
        }
        return found
    }

    /// The processes without what the kernel says of them, but for whether they live.
    private var slots: [Process] {
        (0..<TelemetryLayout.slotCount).compactMap { index in
            let slot = Array(
                words[TelemetryLayout.slot(index)..<TelemetryLayout.slot(index) + TelemetryLayout.slotWords])
            let pid = Int32(truncatingIfNeeded: slot[TelemetryLayout.Slot.pid])
            guard pid > 0, let role = ProcessRole(rawValue: Int(clamping: slot[TelemetryLayout.Slot.role]))
            else { return nil }
            let version = slot[TelemetryLayout.Slot.version..<TelemetryLayout.Slot.gauges]
                .flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
                .prefix { $0 != 0 }
            var state = ProcessState(rawValue: Int(clamping: slot[TelemetryLayout.Slot.state])) ?? .running
            if !TelemetrySnapshot.isAlive(pid, slot[TelemetryLayout.Slot.startTicks]) { state = .lost }
            return Process(
                role: role, number: Int(clamping: slot[TelemetryLayout.Slot.number]), pid: pid,
                version: String(decoding: version, as: UTF8.self),
                startedAt: Int64(bitPattern: slot[TelemetryLayout.Slot.startedAt]), state: state,
                gauges: slot[TelemetryLayout.Slot.gauges...].map { Int64(bitPattern: $0) })
        }
    }

    private static func isAlive(_ pid: Int32, _ ticks: UInt64) -> Bool {
        // Where /proc hides the processes of others, only this tells.
        guard let facts = ProcessFacts(pid: pid) else { return kill(pid, 0) == 0 || errno == EPERM }
        return facts.isAlive && facts.startTicks == ticks
    }

    private static func nginx(_ path: String) -> Process? {
        guard let text = ProcessFacts.read(path), let pid = Int32(text.filter { $0.isNumber }), pid > 0
        else { return nil }
        var process = Process(
            role: .nginx, number: 0, pid: pid, version: "", startedAt: 0, state: .lost)
        guard var facts = ProcessFacts(pid: pid), facts.isAlive else { return process }
        process.state = .running
        process.startedAt = ProcessFacts.startedAt(ticks: facts.startTicks)
        facts.countDescriptors(pid: pid)
        (process.residentBytes, process.cpuSeconds) = (facts.residentBytes, facts.cpuSeconds)
        process.openDescriptors = facts.openDescriptors
        for child in ProcessFacts.children(of: pid) {
            guard var facts = ProcessFacts(pid: child) else { continue }
            facts.countDescriptors(pid: child)
            process.residentBytes = process.residentBytes.map { $0 + facts.residentBytes }
            process.cpuSeconds = process.cpuSeconds.map { $0 + facts.cpuSeconds }
            if let more = facts.openDescriptors {
                process.openDescriptors = (process.openDescriptors ?? 0) + more
            }
        }
        return process
    }
}
