import Logging

/// Logs why requests were refused, at most a hundred lines a second: whoever tries tokens must not fill the log.
final class RefusalLog: Sendable {
    private let log: Logger
    private let budget = LineBudget(linesPerSecond: 100)

    init(_ log: Logger) { self.log = log }

    func report(_ line: String) {
        let (isShown, suppressed) = budget.take()
        if suppressed > 0 {
            log.notice(
                "\(suppressed) more requests were refused in a second before",
                metadata: ProcessLogHandler.aboutNoRequest)
        }
        if isShown { log.notice("refused \(line)") }
    }
}
