import Glibc

/// Waits for the signals that the supervisor lives on. They are blocked, so none is lost between two waits.
struct SignalWaiter {
    private var set = sigset_t()
    /// Whoever closes a terminal wants its programs to end; without one, SIGHUP asks for new settings.
    private let hangUpReloads = isatty(STDIN_FILENO) == 0

    /// Blocks the signals in the calling thread; call it before any other thread exists.
    init() {
        sigemptyset(&set)
        for number in [SIGINT, SIGTERM, SIGHUP, SIGUSR2, SIGCHLD] { sigaddset(&set, number) }
        sigprocmask(SIG_BLOCK, &set, nil)
        // Writing to a console that is gone must fail, not kill.
        signal(SIGPIPE, SIG_IGN)
    }

    enum Event: Equatable {
        /// SIGINT or SIGTERM, or SIGHUP from a terminal.
        case stop
        /// SIGUSR2, or SIGHUP without a terminal.
        case reload
        /// At least one child changed its state.
        case child
        /// The deadline passed.
        case timeout
    }

    /// - Parameter deadline: a value of ``MonotonicTime/now``, or nil to wait for ever.
    func wait(until deadline: Double?) -> Event {
        while true {
            var signals = set
            let received: Int32
            if let deadline {
                let rest = max(0, deadline - MonotonicTime.now)
                var time = timespec(tv_sec: Int(rest), tv_nsec: Int((rest - rest.rounded(.down)) * 1e9))
                received = sigtimedwait(&signals, nil, &time)
            } else {
                received = sigwaitinfo(&signals, nil)
            }
            switch received {
            case SIGCHLD: return .child
            case SIGINT, SIGTERM: return .stop
            case SIGHUP: return hangUpReloads ? .reload : .stop
            case SIGUSR2: return .reload
            default: if errno == EAGAIN { return .timeout }
            }
        }
    }
}
