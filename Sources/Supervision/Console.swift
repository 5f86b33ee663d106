import Glibc

/// Lines for the operator, written at once: nothing stays in a buffer when the process is killed.
public enum Console {
    /// Writes lines to standard output.
    public static func output(_ text: String) { write(text + "\n", to: STDOUT_FILENO) }

    /// Writes one line to standard error, with the program's name in front.
    public static func error(_ line: String) { write("durable-streams: \(line)\n", to: STDERR_FILENO) }

    /// Writes a line to standard error as it is.
    public static func note(_ line: String) { write(line + "\n", to: STDERR_FILENO) }

    private static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                // Nobody reads the console any more: that must not stop the server.
                return
            }
        }
    }
}
