import CLinux
import Glibc

/// What a process counts, in memory that all processes of a server share: a file in the run directory.
///
/// Counters and histograms belong to all and add up, over restarts too; each process has a slot of its own for what
/// goes up and down. Everything is a relaxed atomic instruction: a request costs two of them. Several generations of
/// one process may count at the same time. A file that is missing, cut short, or of a program with other metrics is made
/// anew; where that fails, the process counts for itself. (Only who cuts the file short while it is in use ends the
/// process, as with any mapped file.)
///
/// `@unchecked Sendable`: what it points to is only reached by atomic instructions.
public final class Telemetry: @unchecked Sendable {
    private let shared: SharedWords
    private let words: UnsafeMutablePointer<UInt64>
    private let slot: UnsafeMutablePointer<UInt64>
    /// Of this process when all slots are taken.
    private let spare: UnsafeMutablePointer<UInt64>
    private let bounds: UnsafeMutablePointer<UInt64>

    /// Begins to count. Never fails: without a file it counts in private memory.
    ///
    /// - Parameters:
    ///   - path: the file, made when it is missing.
    ///   - number: counts the processes of one role from 1; 0 for the only one.
    public init(path: String, role: ProcessRole, number: Int, version: String) {
        shared = SharedWords(path: path)
        words = shared.words
        spare = .allocate(capacity: TelemetryLayout.slotWords)
        spare.initialize(repeating: 0, count: TelemetryLayout.slotWords)
        bounds = .allocate(capacity: Histogram.durations.count)
        bounds.initialize(from: Histogram.durations, count: Histogram.durations.count)
        var slot = spare
        let words = words
        shared.locked {
            if let free = Telemetry.freeSlot(words, role: role, number: number) {
                slot = words + TelemetryLayout.slot(free)
            }
            Telemetry.fill(slot, role: role, number: number, version: version)
        }
        self.slot = slot
        switch role {
        case .supervisor: add(.startsSupervisor)
        case .worker: add(.startsWorker)
        case .live: add(.startsLive)
        case .nginx: break
        }
    }

    /// Counts for a process alone, for tests and for programs without a server.
    public convenience init() { self.init(path: "", role: .worker, number: 0, version: "") }

    deinit {
        spare.deallocate()
        bounds.deallocate()
    }

    /// Adds to a counter.
    public func add(_ counter: Counter, _ amount: UInt64 = 1) {
        ds_count(words + TelemetryLayout.counters + counter.rawValue, amount)
    }

    /// Adds to a counter, what is below 0 counting as 0.
    public func add(_ counter: Counter, _ amount: Int) {
        if amount > 0 { add(counter, UInt64(amount)) }
    }

    /// Notes a value: nanoseconds of durations, else a number.
    public func observe(_ histogram: Histogram, _ value: Int64) {
        let value = UInt64(max(0, value))
        let start = words + TelemetryLayout.histogram(histogram)
        if histogram.isDuration {
            observeDuration(start, value)
        } else {
            let bounds = Histogram.numbers
            ds_count(start + (bounds.firstIndex { value <= $0 } ?? bounds.count), 1)
            ds_count(start + Histogram.sumIndex, value)
        }
    }

    /// Notes a request that was answered.
    ///
    /// - Parameter nanoseconds: from its first byte to the answer handed to the socket.
    public func request(_ operation: Operation, status: Int, nanoseconds: Int64) {
        let statusClass = min(max(status / 100 - 2, 0), TelemetryLayout.classes - 1)
        observeDuration(
            words + TelemetryLayout.request(operation, statusClass), UInt64(max(0, nanoseconds)))
    }

    /// Sets a gauge of this process, or one of the server.
    public func set(_ gauge: Gauge, _ value: Int64) {
        ds_count_store(pointer(to: gauge), UInt64(bitPattern: value))
    }

    /// Raises or lowers a gauge of this process.
    public func adjust(_ gauge: Gauge, _ difference: Int64) {
        ds_count(pointer(to: gauge), UInt64(bitPattern: difference))
    }

    /// Tells how this process is.
    public func setState(_ state: ProcessState) {
        ds_count_store(slot + TelemetryLayout.Slot.state, UInt64(state.rawValue))
    }

    /// Leaves the table of processes: this one ends as it should.
    public func leave() { ds_count_store(slot + TelemetryLayout.Slot.pid, 0) }

    /// Whether others see what is counted here.
    public var isShared: Bool { shared.isShared }

    /// What this process and those that share with it have counted.
    public func snapshot() -> TelemetrySnapshot { TelemetrySnapshot(words: shared.copy()) }

    /// What the processes of a server have counted; nil when there is no file, or one of other metrics.
    public static func snapshot(path: String) -> TelemetrySnapshot? {
        SharedWords.copy(of: path).map { TelemetrySnapshot(words: $0) }
    }

    private func pointer(to gauge: Gauge) -> UnsafeMutablePointer<UInt64> {
        gauge.isOfProcess
            ? slot + TelemetryLayout.Slot.gauges + gauge.rawValue
            : words + TelemetryLayout.gauges + gauge.rawValue
    }

    private func observeDuration(_ start: UnsafeMutablePointer<UInt64>, _ value: UInt64) {
        var index = 0
        while index < Histogram.durations.count, value > bounds[index] { index += 1 }
        ds_count(start + index, 1)
        ds_count(start + Histogram.sumIndex, value)
    }

    // MARK: Slots

    /// A slot for a process; its predecessor's, should that have gone without a word, is given up.
    /// Takes what an earlier program in this process had in the table of processes off it.
    public static func leaveAsPredecessor(path: String) {
        let shared = SharedWords(path: path)
        shared.locked {
            for index in 0..<TelemetryLayout.slotCount {
                let slot = shared.words + TelemetryLayout.slot(index)
                if ds_count_load(slot + TelemetryLayout.Slot.pid) == UInt64(getpid()) {
                    ds_count_store(slot + TelemetryLayout.Slot.pid, 0)
                }
            }
        }
    }

    private static func freeSlot(
        _ words: UnsafeMutablePointer<UInt64>, role: ProcessRole, number: Int
    ) -> Int? {
        var (free, dead): (Int?, Int?)
        for index in 0..<TelemetryLayout.slotCount {
            let slot = words + TelemetryLayout.slot(index)
            let pid = Int32(truncatingIfNeeded: ds_count_load(slot + TelemetryLayout.Slot.pid))
            if pid == 0 {
                free = free ?? index
            } else if isDead(pid, ticks: ds_count_load(slot + TelemetryLayout.Slot.startTicks)) {
                dead = dead ?? index
                guard ds_count_load(slot + TelemetryLayout.Slot.role) == UInt64(role.rawValue),
                    ds_count_load(slot + TelemetryLayout.Slot.number) == UInt64(number)
                else { continue }
                ds_count_store(slot + TelemetryLayout.Slot.pid, 0)
                free = free ?? index
            }
        }
        return free ?? dead
    }

    /// Whether a process has gone; its number may be another's by now.
    private static func isDead(_ pid: Int32, ticks: UInt64) -> Bool {
        guard let facts = ProcessFacts(pid: pid) else { return kill(pid, 0) != 0 && errno == ESRCH }
        return facts.startTicks != ticks
    }

    private static func fill(
        _ slot: UnsafeMutablePointer<UInt64>, role: ProcessRole, number: Int, version: String
    ) {
        for index in 0..<TelemetryLayout.slotWords { ds_count_store(slot + index, 0) }
        var text: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &text) { $0.copyBytes(from: version.utf8.prefix($0.count)) }
        for (index, word) in [text.0, text.1, text.2, text.3].enumerated() {
            ds_count_store(slot + TelemetryLayout.Slot.version + index, word)
        }
        let numbers: [(Int, Int64)] = [
            (TelemetryLayout.Slot.role, Int64(role.rawValue)), (TelemetryLayout.Slot.number, Int64(number)),
            (TelemetryLayout.Slot.startedAt, ProcessFacts.milliseconds),
            (
                TelemetryLayout.Slot.startTicks,
                Int64(clamping: ProcessFacts(pid: getpid())?.startTicks ?? 0)
            ),
            // Last: with it the slot counts.
            (TelemetryLayout.Slot.pid, Int64(getpid())),
        ]
        for (index, value) in numbers { ds_count_store(slot + index, UInt64(bitPattern: value)) }
    }
}
