import Glibc

/// The supervisor's child processes: starts them, and notices which of them ended.
struct Family: ~Copyable {
    /// One process that should run.
    struct Member {
        let role: Role
        var process: ChildProcess?
        var started = 0.0
        var delay = RestartDelay()
        /// When to start it again, if it ended.
        var restartAt: Double?
    }

    /// An end that ``reap()`` found.
    struct Ended {
        let role: Role
        let identifier: pid_t
        let reason: ExitReason
    }

    private(set) var members: [Member]
    private let start: (Role) throws(SupervisionError) -> ChildProcess

    /// - Parameter start: starts the process of a role; called on the main thread.
    init(_ roles: [Role], start: @escaping (Role) throws(SupervisionError) -> ChildProcess) {
        members = roles.map { Member(role: $0) }
        self.start = start
    }

    mutating func startAll() throws(SupervisionError) {
        for index in members.indices { try start(at: index) }
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
            members[index].process = nil
            result.append(
                Ended(
                    role: members[index].role, identifier: identifier,
                    reason: ExitReason(waitStatus: status)))
        }
    }

    /// Plans the restart of a process that ended.
    ///
    /// - Returns: seconds until then.
    mutating func planRestart(of role: Role) -> Double {
        guard let index = members.firstIndex(where: { $0.role == role }) else { return 0 }
        let now = MonotonicTime.now
        let delay = members[index].delay.next(afterRunning: now - members[index].started)
        members[index].restartAt = now + delay
        return delay
    }

    /// Puts off a planned restart.
    mutating func postpone(_ role: Role, by seconds: Double) {
        guard let index = members.firstIndex(where: { $0.role == role }) else { return }
        members[index].restartAt = MonotonicTime.now + seconds
    }

    /// The roles whose planned restart is due.
    func due() -> [Role] {
        let now = MonotonicTime.now
        return members.filter { $0.process == nil && ($0.restartAt.map { $0 <= now } ?? false) }.map(\.role)
    }

    /// The earliest planned restart.
    var nextRestart: Double? { members.compactMap { $0.process == nil ? $0.restartAt : nil }.min() }

    mutating func restart(_ role: Role) throws(SupervisionError) {
        guard let index = members.firstIndex(where: { $0.role == role }) else { return }
        try start(at: index)
    }

    /// The running process of a role.
    func process(_ role: Role) -> ChildProcess? { members.first { $0.role == role }?.process }

    /// Running processes for which `condition` holds.
    func running(where condition: (Role) -> Bool) -> [ChildProcess] {
        members.filter { condition($0.role) }.compactMap(\.process)
    }

    private mutating func start(at index: Int) throws(SupervisionError) {
        members[index].restartAt = nil
        members[index].process = try start(members[index].role)
        members[index].started = MonotonicTime.now
    }
}
