import CSQLite
import StreamProtocol
import Synchronization

/// What keeps the hot log small: expired streams are removed, deleted ones purged, the space is given back to the
/// disk, and the write-ahead log is copied into the database.
///
/// All that in small steps, each of which joins a group of appends, with rests between them that get longer under load.
///
/// One process does it for all: the one that holds the chores lock. The others wait for the lock.
public final class Chores: Sendable {
    private struct State {
        var stopping = false
    }

    private let state = Condition(State())
    private let thread: Condition<NamedThread?> = Condition(nil)
    private let holdsLock = Atomic(false)

    /// Whether this process does the chores for all.
    public var isActive: Bool { holdsLock.load(ordering: .relaxed) }

    /// Milliseconds between looks at the write-ahead log and at the purge queue.
    private static let interval: Int64 = 250
    /// Milliseconds until a start that failed is tried again.
    private static let restAfterFailure: Int64 = 1_000
    /// Records that are entered into the index at once at most. Fewer wait, in the memory of each connection, unless they
    /// may fill a segment.
    private static let indexStep = 4_096
    /// Expired streams that one step of the sweep removes at most; each touches index pages of its own.
    private static let sweepStep = 16
    /// Rows and bytes that one step of the purge removes at most.
    private static let purgeStep = (rows: 512, bytes: 1 << 20)
    /// Microseconds that a step may take: about as much as the commit that it joins.
    private static let stepTime: Int64 = 500
    /// How many times as long as a step, waiting included, the rest behind it is.
    private static let restFactor: Int64 = 3
    /// Milliseconds of one kind of step, after which the write-ahead log and the index have their turn.
    private static let slice: Int64 = 100

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - sweepInterval: seconds between searches for expired streams.
    ///   - segmentLimits: how large the hot part of a stream may get.
    ///   - retention: what is kept of streams that ask for nothing else.
    ///   - clock: milliseconds since 1970.
    ///   - checkpointed: hears of each copy of the write-ahead log, and how many bytes are in use in it.
    ///   - report: takes failures; the chores go on.
    public init(
        _ files: StoreFiles, committer: GroupCommitter, sweepInterval: Double,
        segmentLimits limits: SegmentLimits = SegmentLimits(), retention: Retention = Retention(),
        clock: @escaping @Sendable () -> Int64,
        checkpointed: @escaping @Sendable (Int64) -> Void = { _ in },
        report: @escaping @Sendable (StoreError) -> Void
    ) throws(StoreError) {
        let chores = try FileLock(path: files.choresLock)
        let started = NamedThread("chores") { [self] in
            while !chores.tryLock() {
                if pause(1_000) { return }
            }
            holdsLock.store(true, ordering: .relaxed)
            defer {
                holdsLock.store(false, ordering: .relaxed)
                chores.unlock()
            }
            while true {
                do throws(StoreError) {
                    return try run(
                        files, committer, sweepInterval, limits, retention, clock, checkpointed, report)
                } catch {
                    // It could not even begin, for lack of space perhaps.
                    report(error)
                    if pause(Chores.restAfterFailure) { return }
                }
            }
        }
        thread.update { thread in
            thread = started
            return (false, ())
        }
    }

    private func run(
        _ files: StoreFiles, _ committer: GroupCommitter, _ sweepInterval: Double, _ limits: SegmentLimits,
        _ retention: Retention, _ clock: @escaping @Sendable () -> Int64,
        _ checkpointed: @escaping @Sendable (Int64) -> Void,
        _ report: @escaping @Sendable (StoreError) -> Void
    ) throws(StoreError) {
        let checkpointer = try Checkpointer(files, committer.space, checkpointed)
        let keeper = try SegmentKeeper(files, committer, limits, retention, clock: clock, report: report)
        defer { keeper.stop() }
        var sweeps = SweepSchedule(interval: Int64(sweepInterval * 1_000), now: clock())
        var goesOn = false
        var pace = VacuumPace()
        var purgePace = PurgePace()
        /// What one kind of work can't do, for lack of space perhaps, must not keep the others from making some.
        func attempt(_ work: () throws(StoreError) -> Void) {
            do throws(StoreError) { try work() } catch { report(error) }
        }
        while !pause(goesOn ? 1 : Chores.interval) {
            goesOn = false
            attempt { () throws(StoreError) in try extendIndex(committer, limits) }
            attempt { () throws(StoreError) in try checkpointer.run() }
            let now = clock()
            if sweeps.isDue(now) {
                attempt { () throws(StoreError) in
                    goesOn = try sweep(committer, now)
                    if !goesOn { sweeps.end() }
                }
            }
            attempt { () throws(StoreError) in
                if try purge(committer, clock, &purgePace) {
                    goesOn = true
                } else if try vacuum(committer, checkpointer, &pace) {
                    goesOn = true
                }
            }
        }
        attempt { () throws(StoreError) in try checkpointer.finish() }
    }

    /// Ends the thread behind its present step.
    public func stop() {
        state.update { state in
            state.stopping = true
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
        state.wait(timeout: milliseconds) { $0.stopping ? true : nil } ?? false
    }

    private func extendIndex(
        _ committer: GroupCommitter, _ limits: SegmentLimits
    ) throws(StoreError) {
        while try committer.perform({ (session) throws(StoreError) in
            try session.extendIndex(limit: Chores.indexStep, rotateAt: limits)
        }) > 0 {
            if pause(1) { return }
        }
    }

    private func sweep(_ committer: GroupCommitter, _ now: Int64) throws(StoreError) -> Bool {
        try steps { () throws(StoreError) in
            try committer.perform { (session) throws(StoreError) in
                try session.sweep(
                    now: now, StepBudget(rows: Chores.sweepStep, microseconds: Chores.stepTime))
            } > 0
        }
    }

    private func purge(
        _ committer: GroupCommitter, _ clock: @Sendable () -> Int64, _ pace: inout PurgePace
    ) throws(StoreError) -> Bool {
        let now = clock()
        return try steps { () throws(StoreError) in
            let rotated = committer.space?.isTight == true ? .go : pace.rotated
            let step = try committer.perform { (session) throws(StoreError) in
                let limit = Chores.purgeStep
                return try session.purge(
                    StepBudget(rows: limit.rows, bytes: limit.bytes, microseconds: Chores.stepTime),
                    now: now, rotated: rotated)
            }
            pace.note(step)
            TestPoint.purgeCommitted.reached()
            return step.goesOn
        }
    }

    private func vacuum(
        _ committer: GroupCommitter, _ checkpointer: Checkpointer, _ pace: inout VacuumPace
    ) throws(StoreError) -> Bool {
        guard pace.isDue else { return false }
        var outcome = WriteSession.VacuumOutcome.done
        let goesOn = try steps { () throws(StoreError) in
            let newest: Int64
            (outcome, newest) = try committer.perform { (session) throws(StoreError) in
                (try session.vacuum(microseconds: Chores.stepTime), try session.newestRecord())
            }
            if outcome != .done { TestPoint.vacuumCommitted.reached() }
            guard case .scattered(let isSmall) = outcome else { return outcome == .goesOn }
            // Where every byte counts, what the steps themselves write is better left out.
            return pace.isQuiet(newest: newest) && !isSmall && !(committer.space?.isTight ?? false)
        }
        if case .scattered(isSmall: true) = outcome, pace.isQuiet { try checkpointer.compact() }
        return goesOn
    }

    /// Takes steps for the length of a slice, with a rest behind each; false when nothing is left to do.
    private func steps(_ step: () throws(StoreError) -> Bool) throws(StoreError) -> Bool {
        let end = MonotonicInstant.now + Chores.slice * 1_000
        repeat {
            let began = MonotonicInstant.now
            guard try step() else { return false }
            if pause(Chores.restFactor * (MonotonicInstant.now - began)) { return false }
        } while MonotonicInstant.now < end
        return true
    }
}

/// When expired streams are looked for: however many slices a search takes, the next is due one interval behind its
/// beginning.
struct SweepSchedule {
    private let interval: Int64
    private var next: Int64
    private var began: Int64?

    /// - Parameters:
    ///   - interval: milliseconds from the beginning of a search to the next.
    ///   - now: milliseconds since 1970, when the first is due.
    init(interval: Int64, now: Int64) {
        self.interval = interval
        next = now
    }

    /// Whether there is to be a search now, or one goes on.
    mutating func isDue(_ now: Int64) -> Bool {
        if began == nil, now >= next { began = now }
        return began != nil
    }

    /// A search has found nothing more.
    mutating func end() {
        next = (began ?? next) + interval
        began = nil
    }
}

/// When what segments have taken over is removed: not before all streams that are full at one moment have rotated, and not
/// at once again, so that one round finds the records of many streams side by side.
private struct PurgePace {
    private var restsUntil = MonotonicInstant.now
    private var patienceEnds: MonotonicInstant?

    /// Records of a round behind which comes a rest.
    private static let large = 1_000
    /// Microseconds from the end of a large round to the beginning of the next.
    private static let rest: Int64 = 2_000_000
    /// Microseconds for which streams that rotate hold up a round.
    private static let patience: Int64 = 5_000_000

    var rotated: RotatedRecords {
        let now = MonotonicInstant.now
        if restsUntil > now { return .stay }
        return patienceEnds.map { $0 <= now } ?? false ? .go : .goWhenNoneRotates
    }

    mutating func note(_ step: PurgeStep) {
        if step.takesRotated {
            patienceEnds = nil
            if let count = step.endedWith, count >= PurgePace.large {
                restsUntil = MonotonicInstant.now + PurgePace.rest
            }
        } else if step.isHeldBack, patienceEnds == nil {
            // Streams that are deleted meanwhile don't renew it.
            patienceEnds = MonotonicInstant.now + PurgePace.patience
        }
    }
}

/// When scattered free pages are looked at again, and whether so little is written that nobody minds a pause.
private struct VacuumPace {
    private var nextLook = MonotonicInstant.now
    private var newest: Int64 = .min
    /// Whether few records came between the last two looks.
    private(set) var isQuiet = false

    /// Microseconds between two looks.
    private static let interval: Int64 = 1_000_000
    /// Most records between two looks in quiet times.
    private static let quiet: Int64 = 200

    var isDue: Bool { isQuiet || nextLook <= MonotonicInstant.now }

    /// Looks, when it is time to.
    mutating func isQuiet(newest now: Int64) -> Bool {
        guard nextLook <= MonotonicInstant.now else { return isQuiet }
        isQuiet = newest != .min && now - newest <= VacuumPace.quiet
        newest = now
        nextLook = MonotonicInstant.now + VacuumPace.interval
        return isQuiet
    }
}
