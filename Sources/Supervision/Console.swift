import Glibc
import OperatorLog
import ServerSettings
import Synchronization

/// Lines for the operator, written at once: nothing stays in a buffer when the process is killed.
public enum Console {
    private static let isJSON = Atomic<Bool>(false)

    /// What lines look like.
    static var format: LogFormat { isJSON.load(ordering: .relaxed) ? .json : .text }

    /// Has every further line written as one JSON object, by the supervisor; or as text again.
    static func use(_ format: LogFormat) { isJSON.store(format == .json, ordering: .relaxed) }

    /// Writes lines to standard output.
    public static func output(_ text: String) {
        guard isJSON.load(ordering: .relaxed) else { return write(text + "\n", to: STDOUT_FILENO) }
        for line in text.split(separator: "\n") { write(.info, String(line), to: STDOUT_FILENO) }
    }

    /// Writes one line to standard error, with the program's name in front.
    public static func error(_ line: String) {
        guard isJSON.load(ordering: .relaxed) else {
            return write("durable-streams: \(line)\n", to: STDERR_FILENO)
        }
        write(.error, line, to: STDERR_FILENO)
    }

    /// Writes a line to standard error as it is.
    public static func note(_ line: String) {
        guard isJSON.load(ordering: .relaxed) else { return write(line + "\n", to: STDERR_FILENO) }
        write(.notice, line, to: STDERR_FILENO)
    }

    private static func write(_ level: LogLevel, _ message: String, to descriptor: Int32) {
        OperatorLog(process: "supervisor", format: .json, descriptor: descriptor).write(level, message)
    }

    private static func write(_ text: String, to descriptor: Int32) {
        OperatorLog.write(Array(text.utf8), to: descriptor)
    }
}
