/// What a child process is there for.
enum Role: Hashable, CustomStringConvertible {
    /// Counted from 1.
    case worker(Int)
    case live
    case nginx

    /// Roles without their numbers.
    enum Kind {
        case worker, live, nginx
    }

    var kind: Kind {
        switch self {
        case .worker: .worker
        case .live: .live
        case .nginx: .nginx
        }
    }

    var description: String {
        switch self {
        case .worker(let number): "worker \(number)"
        case .live: "live process"
        case .nginx: "nginx"
        }
    }
}

/// When a process that keeps ending is started again.
struct RestartDelay: Equatable {
    private var failures = 0

    /// A process that ran this many seconds had started well: its end counts as the first again, so that whatever
    /// was killed is back at once. One that can't start ends sooner.
    static let goodRun = 0.5
    /// The longest delay in seconds.
    static let longest = 5.0

    /// Seconds to wait after an end: none the first time, then 0.25, doubled each time, up to ``longest``.
    mutating func next(afterRunning seconds: Double) -> Double {
        if seconds >= Self.goodRun { failures = 0 }
        failures += 1
        guard failures > 1 else { return 0 }
        var delay = 0.25
        for _ in 2..<failures where delay < Self.longest { delay *= 2 }
        return min(delay, Self.longest)
    }
}
