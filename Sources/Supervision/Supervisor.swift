import Glibc
import ServerSettings
import Telemetry

/// Keeps the family running until a signal asks to stop. Everything happens on the main thread, between waits.
struct Supervisor: ~Copyable {
    var family: Family
    /// What the current processes run with.
    var settings: Settings
    let plan: ServerPlan
    let notifier: ServiceNotifier
    private let telemetry: Telemetry
    private let signals: SignalWaiter
    var reload = Reload()
    /// When the next sign of life is due; nil when the service manager waits for none.
    private var nextBeat: Double?
    /// Seconds that nginx waited for its address since it ended last.
    private var nginxWaited = 0.0

    /// Seconds that the start may take.
    private static let readinessLimit = 15.0

    /// Seconds between two questions while the server does not answer.
    private static let secondLook = 1.0

    private var listen: ListenAddress { settings.listen }
    private var probe: ReadinessProbe { ReadinessProbe(plan.parts, settings: settings) }

    init(
        family: consuming Family, settings: Settings, plan: ServerPlan, signals: SignalWaiter,
        notifier: ServiceNotifier
    ) {
        self.family = family
        self.settings = settings
        self.plan = plan
        self.signals = signals
        self.notifier = notifier
        telemetry = Telemetry(
            path: plan.layout.telemetry, role: .supervisor, number: 0, version: ServerVersion.current)
        tellExpectations()
    }

    /// How many processes there should be, for those who look at the figures.
    func tellExpectations() {
        telemetry.set(.expectedWorkers, plan.parts.runsPool ? Int64(settings.workers) : 0)
        telemetry.set(.expectedLive, plan.parts.runsLive ? 1 : 0)
    }

    /// Takes itself off the table of processes.
    func leaveTable() { telemetry.leave() }

    /// Starts the family and waits until the server answers.
    ///
    /// - Returns: false when a signal asked to stop meanwhile.
    /// - Throws: `unavailable` when a process ends or the server is not ready in time; the rest is then stopped.
    mutating func start() throws(SupervisionError) -> Bool {
        reload.state.write(plan.stateFile)
        do throws(SupervisionError) {
            try family.startAll()
            return try awaitReadiness()
        } catch {
            _ = stop()
            throw error
        }
    }

    private mutating func awaitReadiness() throws(SupervisionError) -> Bool {
        let deadline = MonotonicTime.now + Self.readinessLimit
        while true {
            let ready = probe.isReady()
            let ends = family.reap()
            for ended in ends {
                // Whoever ends by itself now would do so again; whoever was killed is started again.
                guard case .signal = ended.reason else {
                    throw SupervisionError(
                        .unavailable,
                        "\(ended.role) (pid \(ended.identifier)) \(ended.reason) before the server was ready")
                }
                planRestart(ended)
            }
            restartDue()
            if ready, ends.isEmpty {
                notifier.ready("ready")
                return true
            }
            guard MonotonicTime.now < deadline else {
                throw SupervisionError(
                    .unavailable,
                    "\(probe.description) within \(Seconds.format(Self.readinessLimit)) s, "
                        + "though all processes run")
            }
            switch signals.wait(until: MonotonicTime.now + 0.05) {
            case .stop: return false
            case .reload: reload.isWanted = true
            case .child, .timeout: break
            }
        }
    }

    /// Restarts what ends and reloads when it is asked to, until a signal asks to stop.
    mutating func run() {
        // The program before this one may have waited for signs of life.
        if nextBeat == nil { nextBeat = notifier.watchdogInterval.map { _ in 0 } }
        while true {
            for ended in family.reap() { note(ended) }
            restartDue()
            advanceReload()
            family.pressRetiring()
            beatIfDue()
            let times = [family.nextDeadline, reload.nextLook, nextBeat].compactMap { $0 }
            switch signals.wait(until: times.min()) {
            case .stop: return
            case .reload: reload.isWanted = true
            case .child, .timeout: break
            }
        }
    }

    private mutating func note(_ ended: Family.Ended) {
        switch ended.standing {
        case .current: planRestart(ended)
        case .incoming:
            refuseReload(
                "the new \(ended.role) (pid \(ended.identifier)) \(ended.reason) before it was ready")
        case .replaced, .retiring:
            guard ended.reason != .status(0), !reload.isDismissed(ended.identifier) else { return }
            Console.error("the old \(ended.role) (pid \(ended.identifier)) \(ended.reason)")
        }
    }

    /// Tells the service manager that the server lives, but only if it answers: one that hangs is to be restarted.
    private mutating func beatIfDue() {
        let now = MonotonicTime.now
        guard let interval = notifier.watchdogInterval, let due = nextBeat, due <= now else { return }
        let answers = probe.isReady(patience: 1)
        if answers { notifier.beat() }
        nextBeat = now + (answers ? interval : min(interval, Self.secondLook))
    }

    private mutating func planRestart(_ ended: Family.Ended) {
        let delay = family.planRestart(of: ended.role)
        if ended.role == .nginx { nginxWaited = 0 }
        let when = delay == 0 ? "now" : "in \(Seconds.format(delay)) s"
        Console.error("\(ended.role) (pid \(ended.identifier)) \(ended.reason); restarting \(when)")
    }

    private mutating func restartDue() {
        for role in family.due() { restart(role) }
    }

    private mutating func restart(_ role: Role) {
        // Workers of a master that was killed hold the address until the kernel has ended them.
        if role == .nginx, nginxWaited < 3, ListenCheck.bindOnce(listen) != 0 {
            nginxWaited += 0.05
            return family.postpone(.nginx, by: 0.05)
        }
        do throws(SupervisionError) {
            try family.restart(role)
        } catch {
            Console.error("\(role): \(error)")
            _ = family.planRestart(of: role)
        }
    }

    /// Stops nginx, so that no new request comes in, then the rest.
    ///
    /// Open live responses would hold nginx's graceful end for as long as they last, so the live process is asked
    /// to end them while nginx can still pass their last bytes on. Workers stay for the requests in flight.
    ///
    /// - Returns: false when a second signal cut it short and everything was killed.
    mutating func stop() -> Bool {
        notifier.stopping()
        abandonReload()
        let nginx: (Role) -> Bool = { $0 == .nginx }
        let everything: (Role) -> Bool = { _ in true }
        let steps: [(who: (Role) -> Bool, signal: Int32, waitFor: (Role) -> Bool, seconds: Double)] = [
            (nginx, SIGQUIT, nginx, 0.3),
            ({ $0 == .live }, SIGTERM, nginx, 2),
            (nginx, SIGTERM, nginx, 1),
            (nginx, SIGKILL, nginx, 1),
            (everything, SIGTERM, everything, 5),
            (everything, SIGKILL, everything, 1),
        ]
        for step in steps where !family.running(where: step.waitFor).isEmpty {
            guard end(step.who, with: step.signal, waitFor: step.waitFor, seconds: step.seconds) else {
                return killAll()
            }
        }
        return true
    }

    /// Signals processes and waits for the end of the same or of others; false when a stop signal came meanwhile.
    private mutating func end(
        _ who: (Role) -> Bool, with number: Int32, waitFor: (Role) -> Bool, seconds: Double
    ) -> Bool {
        _ = family.reap()
        for process in family.running(where: who) {
            if number == SIGKILL { process.signalGroup(number) } else { process.signal(number) }
        }
        let deadline = MonotonicTime.now + seconds
        while !family.running(where: waitFor).isEmpty {
            switch signals.wait(until: deadline) {
            case .stop: return false
            case .timeout: return true
            case .child, .reload: _ = family.reap()
            }
        }
        return true
    }

    private mutating func killAll() -> Bool {
        for process in family.running(where: { _ in true }) { process.signalGroup(SIGKILL) }
        let deadline = MonotonicTime.now + 1
        while !family.running(where: { _ in true }).isEmpty, signals.wait(until: deadline) != .timeout {
            _ = family.reap()
        }
        return false
    }

    /// What runs, for the lines printed at the start.
    func summary() -> String {
        var parts = ["data directory: \(settings.dataDirectory)"]
        if plan.parts.runsPool {
            let workers = family.current { $0.kind == .worker }.map { "\($0.identifier)" }
            parts.append("workers: \(workers.count) (pids \(workers.joined(separator: " ")))")
        }
        if plan.parts.runsLive { parts.append("live: \(identifiers(.live))") }
        guard plan.parts.runsNginx else {
            return "Durable Streams' \(plan.parts.rawValue) is ready\n" + parts.joined(separator: "   ")
        }
        parts.append("nginx: \(identifiers(.nginx))")
        let admin =
            settings.admin
            ? "\nadmin page: http://\(listen)/admin/   user: \(AdminFiles.user)   "
                + "password: in \(settings.layout.adminPassword)" : ""
        return """
            Durable Streams is ready at http://\(listen)/v1/stream/
            \(parts.joined(separator: "   "))\(admin)
            Ctrl-C stops everything.
            """
    }
}
