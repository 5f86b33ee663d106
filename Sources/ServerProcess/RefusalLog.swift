import Logging
import StreamStore
import Synchronization

/// Logs why requests were refused, at most a hundred lines a second: whoever tries tokens must not fill the log.
final class RefusalLog: Sendable {
    private struct Count {
        var second: Int64 = 0
        var lines = 0
        var suppressed = 0
    }

    private let log: Logger
    private let count = Mutex(Count())

    private static let limit = 100

    init(_ log: Logger) { self.log = log }

    func report(_ line: String) {
        let second = ServerProcess.unmovedMilliseconds() / 1_000
        let (isShown, suppressed) = count.withLock { count -> (Bool, Int) in
            var suppressed = 0
            if count.second != second {
                suppressed = count.suppressed
                count = Count(second: second)
            }
            guard count.lines < RefusalLog.limit else {
                count.suppressed += 1
                return (false, 0)
            }
            count.lines += 1
            return (true, suppressed)
        }
        if suppressed > 0 { log.notice("\(suppressed) more requests were refused in a second before") }
        if isShown { log.notice("refused \(line)") }
    }
}
