import Logging
import StreamStore

/// Logs that writes are refused because too much waits, once a second, with what to do about it.
final class OverloadLog: Sendable {
    private let log: Logger
    private let budget = LineBudget(linesPerSecond: 1)

    init(_ log: Logger) { self.log = log }

    func report(_ queue: QueueReport) {
        let (isShown, suppressed) = budget.take()
        guard isShown else { return }
        let taken = "\(queue.nanoseconds / 1_000_000) ms"
        let why =
            switch queue.limit {
            case .requests, .bytes, .wait: "a transaction takes \(taken)"
            case .stall: "a transaction has taken \(taken) so far"
            }
        let setting =
            switch queue.limit {
            case .requests: "queue_requests"
            case .bytes: "queue_bytes"
            case .wait, .stall: "queue_milliseconds"
            }
        // Nobody's request in particular.
        log.warning(
            """
            too much to store: writes get 503 BUSY (\(suppressed + 1) since the last line), as \(queue.requests) with \
            \(queue.bytes) bytes wait and \(why) (\(setting)): send larger batches, fewer at once, or give data_dir a \
            faster disk
            """, metadata: ProcessLogHandler.aboutNoRequest)
    }
}
