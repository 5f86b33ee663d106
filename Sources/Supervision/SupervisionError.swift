import Glibc

/// Why the server could not start or go on: one line for the operator and the exit status that fits it.
public struct SupervisionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Exit statuses of sysexits.h.
    public enum Status: Int32, Sendable {
        /// `EX_UNAVAILABLE`: nginx is missing, the address is taken, or a process ended during the start.
        case unavailable = 69
        /// `EX_OSERR`: the system refused something.
        case system = 71
        /// `EX_TEMPFAIL`: another server uses the data directory.
        case locked = 75
        /// `EX_CONFIG`: a template or the rendered configuration is wrong.
        case configuration = 78
    }

    /// The exit status.
    public let status: Status
    /// One line without a full stop.
    public let message: String

    public var description: String { message }

    init(_ status: Status, _ message: String) {
        self.status = status
        self.message = message
    }

    /// - Parameter code: `errno` right after the call that failed.
    static func system(_ action: String, code: Int32) -> SupervisionError {
        SupervisionError(.system, "\(action): \(String(cString: strerror(code)))")
    }
}
