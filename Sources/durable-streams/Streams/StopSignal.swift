import Glibc
import Synchronization

/// SIGINT and SIGTERM of a command that has something to finish before it ends by them.
enum StopSignal {
    private static let number = Atomic<Int32>(0)

    /// From now on these signals are noted, and end whatever waits; a second one ends the process at once.
    static func begin() {
        _ = number.load(ordering: .relaxed)
        for signal in [SIGINT, SIGTERM] {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { StopSignal.number.store($0, ordering: .relaxed) }
            // Without SA_RESTART: reads and writes come back.
            action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
            sigaction(signal, &action, nil)
        }
    }

    /// Whether a signal has come.
    static var hasCome: Bool { number.load(ordering: .relaxed) != 0 }

    /// Ends the process by the signal that has come, if one has.
    static func end() {
        let came = number.load(ordering: .relaxed)
        if came != 0 { Output.endBySignal(came) }
    }

    /// Seconds on a clock that only goes forward.
    static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Waits for some seconds; false when a signal or something else ended it.
    static func sleep(_ seconds: Double, while goesOn: () -> Bool) -> Bool {
        let end = now + seconds
        while !hasCome, goesOn() {
            let left = end - now
            guard left > 0 else { return true }
            usleep(useconds_t(min(left, 0.2) * 1e6))
        }
        return false
    }
}
