import Glibc

/// Programs that are run to their end while the supervisor waits.
enum ShortCommand {
    /// Milliseconds that one may take.
    private static let patience: Int32 = 20_000

    /// Runs a program.
    ///
    /// - Parameter quotes: whether what it writes to standard error is returned instead of written there.
    /// - Returns: how it ended; one that takes too long is killed.
    static func run(
        _ arguments: [String], environment: [String: String], quotes: Bool
    ) throws(SupervisionError) -> (ExitReason, said: String) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system("creating a pipe", code: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        let child: ChildProcess
        do throws(SupervisionError) {
            // Its end is noticed by the end of the pipe, whatever it writes there.
            child = try ChildProcess.spawn(
                arguments, environment: environment, descriptors: quotes ? [] : [ends[1]],
                standardError: quotes ? ends[1] : nil)
            close(ends[1])
        } catch {
            close(ends[1])
            throw error
        }
        var said: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        var end = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
        while true {
            let ready = poll(&end, 1, patience)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else {
                child.signalGroup(SIGKILL)
                break
            }
            let count = read(ends[0], &buffer, buffer.count)
            guard count > 0 else { break }
            said += buffer[..<count]
        }
        var status: Int32 = 0
        while waitpid(child.identifier, &status, 0) < 0, errno == EINTR {}
        return (ExitReason(waitStatus: status), String(decoding: said, as: UTF8.self))
    }
}
