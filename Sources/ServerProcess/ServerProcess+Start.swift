import CLinux
import Glibc

/// How a process begins beside others, and how it ends.
///
/// At a reload new processes get everything ready while the old ones serve, and begin only when all of them are ready:
/// one that can't begin leaves nothing behind. The supervisor hears and says that by single bytes on a socket.
extension ServerProcess {
    /// A number that the supervisor has put on the command line.
    public static func argument(_ name: String) -> Int32? {
        let arguments = CommandLine.arguments
        guard let index = arguments.firstIndex(of: name), index + 1 < arguments.count else { return nil }
        return Int32(arguments[index + 1])
    }

    private static var startDescriptor: Int32? { argument("--start-descriptor") }

    /// Says that this process could serve, and returns when it may. Ends the process when the supervisor has given up.
    public func awaitTurn() {
        guard let descriptor = ServerProcess.startDescriptor else { return }
        ServerProcess.say("R", descriptor)
        var answer: UInt8 = 0
        var count = read(descriptor, &answer, 1)
        while count < 0, errno == EINTR { count = read(descriptor, &answer, 1) }
        guard count == 1 else { exit(0) }
    }

    /// Says that this process serves.
    public func announceServing() {
        guard let descriptor = ServerProcess.startDescriptor else { return }
        ServerProcess.say("S", descriptor)
        close(descriptor)
    }

    private static func say(_ letter: Unicode.Scalar, _ descriptor: Int32) {
        var byte = UInt8(ascii: letter)
        // Without a supervisor nobody listens; the process ends in a moment.
        _ = send(descriptor, &byte, 1, Int32(MSG_NOSIGNAL))
    }

    /// How a process is asked to end.
    public enum Ending: Sendable {
        /// SIGTERM or SIGINT: soon.
        case stop
        /// SIGUSR2: others have taken over, so nobody is in a hurry.
        case drain
    }

    static var endingSignals: sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGTERM, SIGINT, SIGUSR2] { sigaddset(&signals, number) }
        return signals
    }

    /// Waits, on the calling thread, until the process is to end.
    public func waitForEnding() -> Ending {
        var signals = ServerProcess.endingSignals
        var received: Int32 = 0
        sigwait(&signals, &received)
        return received == SIGUSR2 ? .drain : .stop
    }
}
