import Glibc
import StreamStore
import Synchronization

/// Ctrl-C and SIGTERM: the first ends the examination, which then cleans up; the second ends the process at once.
enum Interruption {
    private static let isWanted = Atomic<Bool>(false)

    /// Whether somebody has asked to stop.
    static var isRequested: Bool { isWanted.load(ordering: .relaxed) }

    /// The exit status of what was interrupted.
    static let exitStatus: Int32 = 130

    /// Begins to listen. Call it before other threads exist: they inherit the mask.
    static func begin() {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, number) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        _ = NamedThread("signals") { [signals] in
            var (signals, received): (sigset_t, Int32) = (signals, 0)
            sigwait(&signals, &received)
            isWanted.store(true, ordering: .relaxed)
            sigwait(&signals, &received)
            _exit(exitStatus)
        }
    }
}
