import Glibc

/// The supervisor's child processes: starts them, and notices which of them ended.
struct Family: ~Copyable {
    /// What a process is to the server at the moment.
    enum Standing: Equatable {
        /// It should run, and is started again when it ends.
        case current
        /// It gets ready to take over.
        case incoming
        /// It serves until those that take over do.
        case replaced
        /// It finishes what it has in hand; at a time it is told once more to end, and then killed.
        case retiring(until: Double, isLast: Bool)
    }

    /// One process.
    struct Member {
        let role: Role
        /// Of a live process: a number that no other one has.
        let slot: Int
        var standing: Standing
        var process: ChildProcess?
        var channel: StartChannel?
        var started = 0.0
        var delay = RestartDelay()
        /// When to start it again, if it ended.
        var restartAt: Double?
    }

    /// An end that ``reap()`` found.
    struct Ended {
        let role: Role
        let standing: Standing
        let identifier: pid_t
        let reason: ExitReason
    }

    private(set) var members: [Member] = []
    private var launcher: Launcher
    private var nextLauncher: Launcher?

    /// Live processes that may be there at once.
    static let slots = 8
    /// Seconds between being told to end and being killed.
    private static let lastPatience = 5.0

    init(_ roles: [Role], launcher: Launcher) {
        self.launcher = launcher
        members = roles.map { Member(role: $0, slot: 0, standing: .current) }
    }

    /// Goes on with the processes that the program before this one has started.
    init(resuming seats: [Resumption.Seat], launcher: Launcher) {
        self.launcher = launcher
        members = seats.map { seat in
            let standing = seat.retiresAt.map { Standing.retiring(until: $0, isLast: false) } ?? .current
            var member = Member(role: seat.role, slot: seat.slot, standing: standing)
            member.started = seat.started
            if seat.identifier > 0 {
                member.process = ChildProcess(identifier: seat.identifier)
            } else {
                member.restartAt = MonotonicTime.now
            }
            return member
        }
    }

    /// What the program after this one must know of them; none may be getting ready.
    var seats: [Resumption.Seat] {
        members.map { member in
            var retiresAt: Double?
            if case .retiring(let end, _) = member.standing { retiresAt = end }
            return Resumption.Seat(
                role: member.role, slot: member.slot, identifier: member.process?.identifier ?? 0,
                started: member.started, retiresAt: retiresAt)
        }
    }

    mutating func startAll() throws(SupervisionError) {
        for index in members.indices { try start(at: index, launcher) }
    }

    /// Collects every child that ended. Whatever such a child started itself is ended with it: nginx's workers
    /// survive a master that was killed, and would keep the port.
    mutating func reap() -> [Ended] {
        var result: [Ended] = []
        while true {
            // The child stays a zombie until its group is gone, so that its number can't mean another group.
            var information = siginfo_t()
            guard waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT) == 0 else { return result }
            let identifier = information._sifields._sigchld.si_pid
            guard identifier > 0 else { return result }
            let index = members.firstIndex { $0.process?.identifier == identifier }
            if let index { members[index].process?.signalGroup(SIGKILL) }
            var status: Int32 = 0
            waitpid(identifier, &status, 0)
            guard let index else { continue }
            let member = members[index]
            if member.standing == .current {
                members[index].process = nil
                members[index].channel = nil
            } else {
                members.remove(at: index)
            }
            result.append(
                Ended(
                    role: member.role, standing: member.standing, identifier: identifier,
                    reason: ExitReason(waitStatus: status)))
        }
    }

    // MARK: Restarts

    /// Plans the restart of a process that ended.
    ///
    /// - Returns: seconds until then.
    mutating func planRestart(of role: Role) -> Double {
        guard let index = current(role) else { return 0 }
        let now = MonotonicTime.now
        let delay = members[index].delay.next(afterRunning: now - members[index].started)
        members[index].restartAt = now + delay
        return delay
    }

    /// Puts off a planned restart.
    mutating func postpone(_ role: Role, by seconds: Double) {
        guard let index = current(role) else { return }
        members[index].restartAt = MonotonicTime.now + seconds
    }

    /// The roles whose planned restart is due.
    func due() -> [Role] {
        let now = MonotonicTime.now
        return members.filter { $0.process == nil && ($0.restartAt.map { $0 <= now } ?? false) }.map(\.role)
    }

    /// The earliest planned restart, or time at which a process that is to end is told once more.
    var nextDeadline: Double? {
        members.compactMap { member in
            if case .retiring(let end, _) = member.standing { return end }
            return member.process == nil ? member.restartAt : nil
        }.min()
    }

    mutating func restart(_ role: Role) throws(SupervisionError) {
        if let index = current(role) { try start(at: index, launcher) }
    }

    private func current(_ role: Role) -> Int? {
        members.firstIndex { $0.role == role && $0.standing == .current }
    }

    private mutating func start(at index: Int, _ launcher: Launcher) throws(SupervisionError) {
        let member = members[index]
        members[index].restartAt = nil
        let joins = member.standing == .incoming
        (members[index].process, members[index].channel) =
            try launcher.start(member.role, slot: member.slot, joins: joins)
        members[index].started = MonotonicTime.now
        if !joins { members[index].channel?.go() }
    }

    // MARK: Reload

    /// Starts processes that get ready to take over.
    mutating func startIncoming(_ roles: [Role], _ launcher: Launcher) throws(SupervisionError) {
        let taken = Set(members.filter { $0.role == .live }.map(\.slot))
        guard let slot = (0..<Family.slots).first(where: { !taken.contains($0) }) else {
            throw SupervisionError(
                .unavailable,
                "the processes of \(Family.slots - 1) reloads before this one still finish their readers; "
                    + "try again in a moment")
        }
        nextLauncher = launcher
        for role in roles {
            members.append(Member(role: role, slot: slot, standing: .incoming))
            do throws(SupervisionError) {
                try start(at: members.endIndex - 1, launcher)
            } catch {
                members.removeLast()
                throw error
            }
        }
    }

    /// Whether all that get ready are.
    var isIncomingReady: Bool {
        members.allSatisfy { $0.standing != .incoming || $0.channel?.isReady ?? true }
    }

    /// Has the processes that got ready end instead; they have nothing in hand.
    mutating func dismissIncoming() {
        nextLauncher = nil
        for index in members.indices where members[index].standing == .incoming {
            members[index].channel = nil
            members[index].standing = .retiring(until: MonotonicTime.now + 1, isLast: true)
        }
    }

    /// Gives up all talk with processes about their beginning.
    mutating func closeChannels() {
        for index in members.indices { members[index].channel = nil }
    }

    /// From now on those that got ready are the ones to keep running; none of them serves yet.
    mutating func promote() {
        if let nextLauncher { launcher = nextLauncher }
        nextLauncher = nil
        let isReplaced = Set(members.filter { $0.standing == .incoming }.map { $0.role.kind })
        // One that is just not running needs no successor of its own.
        members.removeAll {
            $0.standing == .current && $0.process == nil && isReplaced.contains($0.role.kind)
        }
        for index in members.indices {
            switch members[index].standing {
            case .current where isReplaced.contains(members[index].role.kind):
                members[index].standing = .replaced
            case .incoming: members[index].standing = .current
            default: break
            }
        }
    }

    /// Lets processes begin that got ready.
    func go(_ kind: Role.Kind) {
        for member in members where member.standing == .current && member.role.kind == kind {
            member.channel?.go()
        }
    }

    /// Whether all of a kind serve.
    func isServing(_ kind: Role.Kind) -> Bool {
        members.allSatisfy {
            $0.standing != .current || $0.role.kind != kind || $0.channel?.isServing ?? false
        }
    }

    /// Has the replaced processes of a kind finish what they have in hand.
    mutating func retire(_ kind: Role.Kind, within seconds: Double) {
        for index in members.indices
        where members[index].standing == .replaced && members[index].role.kind == kind {
            members[index].process?.signal(SIGUSR2)
            members[index].standing = .retiring(until: MonotonicTime.now + seconds, isLast: false)
        }
    }

    /// Ends those that take too long to finish.
    mutating func pressRetiring() {
        let now = MonotonicTime.now
        for index in members.indices {
            guard case .retiring(let end, let isLast) = members[index].standing, end <= now else { continue }
            if isLast {
                members[index].process?.signalGroup(SIGKILL)
            } else {
                members[index].process?.signal(SIGTERM)
            }
            members[index].standing = .retiring(until: now + Family.lastPatience, isLast: true)
        }
    }

    // MARK: Looking

    /// Running processes for which `condition` holds, whatever their standing.
    func running(where condition: (Role) -> Bool) -> [ChildProcess] {
        members.filter { condition($0.role) }.compactMap(\.process)
    }

    /// Those that get ready.
    var incoming: [ChildProcess] { members.filter { $0.standing == .incoming }.compactMap(\.process) }

    /// Those of them that are to keep running.
    func current(where condition: (Role) -> Bool) -> [ChildProcess] {
        members.filter { $0.standing == .current && condition($0.role) }.compactMap(\.process)
    }
}
