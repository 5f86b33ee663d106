/// What a request asks for, as metrics and logs name it.
public enum Operation: Int, CaseIterable, Sendable {
    case create, append, close, read, head, delete, longPoll, events, list, preflight, verdict, health, admin,
        other

    /// The name in metrics and logs.
    public var name: String {
        switch self {
        case .create: "create"
        case .append: "append"
        case .close: "close"
        case .read: "read"
        case .head: "head"
        case .delete: "delete"
        case .longPoll: "long_poll"
        case .events: "events"
        case .list: "list"
        case .preflight: "preflight"
        case .verdict: "verdict"
        case .health: "health"
        case .admin: "admin"
        case .other: "other"
        }
    }
}

/// What a process is there for.
public enum ProcessRole: Int, CaseIterable, Sendable {
    case supervisor, worker, live, nginx

    /// The name in metrics and the API.
    public var name: String {
        switch self {
        case .supervisor: "supervisor"
        case .worker: "worker"
        case .live: "live"
        case .nginx: "nginx"
        }
    }
}

/// How a process is.
public enum ProcessState: Int, Sendable {
    case running
    /// It finishes what it has and takes nothing new.
    case draining
    /// It has gone, or is stopped, without saying so.
    case lost

    /// The name in metrics and the API.
    public var name: String {
        switch self {
        case .running: "running"
        case .draining: "draining"
        case .lost: "lost"
        }
    }
}
