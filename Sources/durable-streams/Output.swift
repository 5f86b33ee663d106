import Glibc
import Supervision

/// Standard output of commands whose answer is meant for other programs: unlike the console's, it must not get lost.
enum Output {
    /// Writes a text, or ends the process as for bytes.
    static func write(_ text: String) {
        Array(text.utf8).withUnsafeBytes { write($0) }
    }

    /// Writes all bytes. When nobody reads them any more, the process ends by SIGPIPE as any tool does; when they can't
    /// be written, with one line and `EX_IOERR`.
    static func write(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Glibc.write(
                STDOUT_FILENO, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count >= 0 {
                rest = rest.dropFirst(count)
                continue
            }
            switch errno {
            case EINTR, EAGAIN:
                StopSignal.end()
                waitUntilWritable()
            case EPIPE: endBySignal(SIGPIPE)
            case let code:
                Command.end(EX_IOERR, "writing to standard output: \(String(cString: strerror(code)))")
            }
        }
    }

    /// Whether somebody still reads what is written: a pipe whose reader is gone says so before the next write.
    static var isWanted: Bool {
        var state = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
        return poll(&state, 1, 0) <= 0 || state.revents & Int16(POLLERR) == 0
    }

    private static func waitUntilWritable() {
        var state = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
        poll(&state, 1, -1)
    }

    /// Ends the process so that its parent sees that a signal did it.
    static func endBySignal(_ number: Int32) -> Never {
        signal(number, SIG_DFL)
        raise(number)
        exit(128 + number)
    }
}
