import ServerSettings

/// Which processes one `durable-streams serve` runs.
public enum ServerParts: String, CaseIterable, Sendable {
    /// nginx, the workers and the live process.
    case all
    /// The workers alone, behind an nginx that the administrator runs.
    case pool
    /// The live process alone, behind that nginx too.
    case live

    /// What belongs to it, in the order of the start.
    func roles(workers: Int) -> [Role] {
        let pool = (1...workers).map { Role.worker($0) }
        switch self {
        case .all: return pool + [.live, .nginx]
        case .pool: return pool
        case .live: return [.live]
        }
    }

    /// Whether nginx is ours.
    var runsNginx: Bool { self == .all }
    /// Whether the workers are ours, and their socket.
    var runsPool: Bool { self != .live }
    /// Whether the live process is ours, and its sockets.
    var runsLive: Bool { self != .pool }

    /// The names that sockets passed by systemd must have (`FileDescriptorName=`).
    var socketNames: [String] {
        (runsPool ? [PassedSockets.worker] : []) + (runsLive ? [PassedSockets.live] : [])
    }
}
