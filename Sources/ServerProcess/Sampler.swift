import Glibc
import ServerSettings
import StreamStore
import Synchronization
import Telemetry

/// Looks at what nobody counts: the sizes of the store and the disk, and what nginx's cache did; and writes the history.
/// Each worker has one; it works in the one that does the chores.
///
/// What has to be counted in the store is counted in steps, each with a rest of a hundred times its length behind it, so
/// it takes at most a hundredth of the time, with a million streams as well.
public final class Sampler: Sendable {
    private let stopping = Condition(false)
    private let thread: Condition<NamedThread?> = Condition(nil)

    /// Milliseconds between two looks at what is cheap, and between two passes over the store at least.
    private static let interval: Int64 = 1_000
    private static let restFactor: Int64 = 100

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - isActive: whether this process does the chores.
    ///   - clock: milliseconds since 1970.
    ///   - report: takes failures; it goes on.
    public init(
        _ layout: DataDirectoryLayout, _ files: StoreFiles, telemetry: Telemetry,
        isActive: @escaping @Sendable () -> Bool, clock: @escaping @Sendable () -> Int64,
        report: @escaping @Sendable (StoreError) -> Void
    ) {
        let started = NamedThread("sampler") { [self] in
            while !pause(Sampler.interval) {
                guard isActive() else { continue }
                return run(Work(layout, files, telemetry, clock), isActive, report)
            }
        }
        thread.update { thread in
            thread = started
            return (false, ())
        }
    }

    private func run(
        _ work: Work, _ isActive: @Sendable () -> Bool, _ report: @Sendable (StoreError) -> Void
    ) {
        var nextLook = MonotonicNanoseconds.now
        var nextStep = nextLook
        while true {
            if MonotonicNanoseconds.now >= nextLook {
                guard isActive() else { return }
                work.look()
                nextLook = MonotonicNanoseconds.now + Sampler.interval * 1_000_000
            }
            let began = MonotonicNanoseconds.now
            if began >= nextStep {
                var isDone = true
                do throws(StoreError) { isDone = try work.count() } catch { report(error) }
                let took = MonotonicNanoseconds.now - began
                nextStep = began + max(took * Sampler.restFactor, isDone ? Sampler.interval * 1_000_000 : 0)
            }
            let rest = (min(nextLook, nextStep) - MonotonicNanoseconds.now + 999_999) / 1_000_000
            if pause(max(1, rest)) { return }
        }
    }

    /// Ends the thread.
    public func stop() {
        stopping.update { stopping in
            stopping = true
            return (true, ())
        }
        let thread = thread.update { thread in
            defer { thread = nil }
            return (false, thread)
        }
        thread?.join()
    }

    /// Waits; true when it is time to end.
    private func pause(_ milliseconds: Int64) -> Bool {
        stopping.wait(timeout: milliseconds) { $0 ? true : nil } ?? false
    }
}

/// What the sampler's thread has.
private final class Work {
    private let layout: DataDirectoryLayout
    private let files: StoreFiles
    private let telemetry: Telemetry
    private let clock: @Sendable () -> Int64
    private let tally: CacheTally
    private let history: HistoryWriter
    private var statistics: StoreStatistics?
    private var isNewPass = true
    /// What had been made less what had been removed, when the pass began.
    private var balance: Int64 = 0
    /// What the last pass found, less the balance of its beginning.
    private var base: Int64?

    init(
        _ layout: DataDirectoryLayout, _ files: StoreFiles, _ telemetry: Telemetry,
        _ clock: @escaping @Sendable () -> Int64
    ) {
        self.layout = layout
        self.files = files
        self.telemetry = telemetry
        self.clock = clock
        tally = CacheTally(path: layout.cacheTally)
        history = HistoryWriter(path: layout.history)
    }

    /// What costs next to nothing.
    func look() {
        tally.collect(into: telemetry)
        var disk = statvfs()
        if statvfs(layout.dataDirectory, &disk) == 0 {
            // As df(1) counts: what ordinary users can't have is neither free nor there.
            let used = Int64(clamping: disk.f_blocks) - Int64(clamping: disk.f_bfree)
            let free = Int64(clamping: disk.f_bavail)
            telemetry.set(.diskTotal, (used + free) * Int64(clamping: disk.f_frsize))
            telemetry.set(.diskFree, free * Int64(clamping: disk.f_frsize))
        }
        telemetry.set(.databaseBytes, Work.size(files.hotLog))
        telemetry.set(.walBytes, Work.size(files.hotLog + "-wal"))
        setStreams()
        history.take(telemetry.snapshot(), now: clock())
    }

    /// Takes a step through the store; true when a pass is complete.
    func count() throws(StoreError) -> Bool {
        if statistics == nil { statistics = try StoreStatistics(files) }
        if isNewPass {
            isNewPass = false
            balance = currentBalance()
        }
        guard let found = try statistics?.step() else { return false }
        isNewPass = true
        base = found.streams - balance
        setStreams()
        telemetry.set(.projects, found.projects)
        telemetry.set(.hotMessages, found.hotMessages)
        telemetry.set(.hotBytes, found.hotBytes)
        telemetry.set(.segments, found.segments)
        telemetry.set(.coldBytes, found.coldBytes)
        telemetry.set(.purgeBacklog, found.purgeBacklog)
        telemetry.set(.storeSampledAt, clock())
        return true
    }

    /// Between passes the number of streams follows what is made and removed.
    private func setStreams() {
        if let base { telemetry.set(.streams, max(0, base + currentBalance())) }
    }

    private func currentBalance() -> Int64 {
        let found = telemetry.snapshot()
        return Int64(clamping: found[.streamsCreated]) - Int64(clamping: found[.streamsDeleted])
            - Int64(clamping: found[.streamsExpired])
    }

    private static func size(_ path: String) -> Int64 {
        var status = stat()
        return stat(path, &status) == 0 ? Int64(status.st_size) : 0
    }
}
