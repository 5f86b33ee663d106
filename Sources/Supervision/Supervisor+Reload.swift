import Glibc
import ServerSettings

/// New processes take over from the old ones on the same sockets, without a pause.
///
/// 0. The supervisor itself becomes the program that lies at its path now (`ServerPlan.replaceProgram`).
/// 1. Settings are read, nginx's files rendered and tested; the new processes start and get ready beside the old ones.
///    Until all are ready nothing has changed, and whatever goes wrong refuses the reload.
/// 2. The new live process begins to serve, then the old one begins to hand its readers over.
/// 3. The new workers begin, then the old ones give them their connections.
struct Reload {
    enum Phase {
        case none
        case gettingReady
        case liveTakesOver
        case workersTakeOver
    }

    var state = ReloadState()
    var isWanted = false
    /// Whether the reload that is due was begun by the program before this one.
    var isResumed = false
    var phase = Phase.none
    var deadline = 0.0
    var next: (settings: Settings, files: NginxFiles?)?
    /// New processes that were told to end before they began.
    var dismissed: Set<pid_t> = []

    /// Seconds in which new processes must be ready.
    static let readinessLimit = 15.0
    /// Seconds for which old processes wait for new ones to serve that were ready.
    static let takeoverLimit = 5.0
    /// Seconds between looks at what new processes say.
    private static let lookInterval = 0.01
    /// Seconds that old processes may take to finish, beside the time over which readers reconnect.
    static let retirement = 40.0

    init() {}

    /// Goes on with a reload that the program before this one has begun.
    init(resuming resumption: Resumption) {
        (state.started, state.finished) = (resumption.started, resumption.finished)
        (isWanted, isResumed) = (true, true)
    }

    /// When to look again; nil while nothing goes on.
    var nextLook: Double? {
        phase == .none ? (isWanted ? 0 : nil) : MonotonicTime.now + Reload.lookInterval
    }

    mutating func isDismissed(_ identifier: pid_t) -> Bool { dismissed.remove(identifier) != nil }
}

extension Supervisor {
    /// Takes the next step of a reload, if it is due.
    mutating func advanceReload() {
        let isLate = MonotonicTime.now >= reload.deadline
        switch reload.phase {
        case .none:
            if reload.isWanted { beginReload() }
        case .gettingReady:
            if family.isIncomingReady {
                takeOver()
            } else if isLate {
                let limit = Seconds.format(Reload.readinessLimit)
                refuseReload("the new processes were not ready within \(limit) s")
            }
        case .liveTakesOver:
            guard family.isServing(.live) || isLate else { return }
            family.retire(.live, within: settings.reloadSpread + Reload.retirement)
            family.go(.worker)
            next(.workersTakeOver, within: Reload.takeoverLimit)
        case .workersTakeOver:
            guard family.isServing(.worker) || isLate else { return }
            family.retire(.worker, within: Reload.retirement)
            finishReload()
        }
    }

    private mutating func next(_ phase: Reload.Phase, within seconds: Double) {
        reload.phase = phase
        reload.deadline = MonotonicTime.now + seconds
    }

    private mutating func beginReload() {
        reload.isWanted = false
        let isResumed = reload.isResumed
        reload.isResumed = false
        notifier.reloading("reloading")
        if !isResumed {
            reload.state.started += 1
            reload.state.write(plan.stateFile)
        }
        do throws(SupervisionError) {
            if !isResumed { try plan.replaceProgram(resumption) }
            let settings = try plan.load(running: settings)
            let (launcher, files) = try plan.prepare(settings)
            reload.next = (settings, files)
            try family.startIncoming(plan.replaceable(settings), launcher)
            next(.gettingReady, within: Reload.readinessLimit)
        } catch {
            refuseReload(error.message)
        }
    }

    /// What the program after this one goes on with.
    private var resumption: Resumption {
        Resumption(
            descriptors: plan.descriptors, started: reload.state.started, finished: reload.state.finished,
            seats: family.seats, settings: settings.environment())
    }

    /// All goes on as before.
    mutating func refuseReload(_ reason: String) {
        withdraw()
        Console.error("reload refused: \(reason)")
        end(isRefused: true, reason)
    }

    private mutating func withdraw() {
        reload.next?.files?.putBack()
        for process in family.incoming { reload.dismissed.insert(process.identifier) }
        family.dismissIncoming()
        reload.next = nil
        reload.phase = .none
    }

    /// Ends a reload that has not come far enough, since the server stops.
    mutating func abandonReload() {
        guard reload.phase != .none else { return }
        if reload.phase == .gettingReady { withdraw() }
        // Those that wait for their turn end by this.
        family.closeChannels()
        end(isRefused: true, "the server was stopped")
    }

    private mutating func takeOver() {
        guard let (settings, _) = reload.next else { return }
        self.settings = settings
        Console.use(settings.logFormat)
        tellExpectations()
        family.promote()
        family.go(.live)
        next(.liveTakesOver, within: Reload.takeoverLimit)
    }

    /// nginx comes last: new processes understand what the files of the version before make nginx say, and not the other
    /// way round.
    private mutating func finishReload() {
        if let files = reload.next?.files, files.isChanged {
            for nginx in family.current(where: { $0 == .nginx }) { nginx.signal(SIGHUP) }
        }
        var parts: [String] = []
        if plan.parts.runsPool { parts.append("workers: \(identifiers(.worker))") }
        if plan.parts.runsLive { parts.append("live: \(identifiers(.live))") }
        if let files = reload.next?.files {
            parts.append("nginx: \(files.isChanged ? "reads its new files" : "unchanged")")
        }
        let message = parts.joined(separator: "   ")
        Console.output("reloaded   \(message)")
        reload.next = nil
        end(isRefused: false, message)
    }

    private mutating func end(isRefused: Bool, _ message: String) {
        reload.phase = .none
        reload.state.finished = reload.state.started
        reload.state.isRefused = isRefused
        reload.state.message = message
        reload.state.write(plan.stateFile)
        notifier.ready(isRefused ? "reload refused: \(message)" : "reloaded")
    }

    /// The process ids of a kind that are to keep running.
    func identifiers(_ kind: Role.Kind) -> String {
        let processes = family.current { $0.kind == kind }
        let list = processes.map { "\($0.identifier)" }.joined(separator: " ")
        return (processes.count == 1 ? "pid " : "pids ") + list
    }
}
