import OperatorLog
import ServerSettings
import StreamService

/// Logs slow requests and what took their time, at most ten lines a second: on a stalled disk all of them are slow.
final class SlowRequestLog: Sendable {
    private let log: OperatorLog
    private let budget = LineBudget(linesPerSecond: 10)

    init(_ log: OperatorLog) { self.log = log }

    func report(_ slow: SlowRequest) {
        let (isShown, suppressed) = budget.take()
        if suppressed > 0 { log.write(.notice, "\(suppressed) more requests were slow in a second before") }
        guard isShown else { return }
        var fields: [(name: String, value: LogLine.Value)] = [
            ("operation", .text(slow.operation.name)), ("status", .number(Int64(slow.status))),
            ("path", .text(SlowRequestLog.shown(slow.path))), ("bytes_in", .number(Int64(slow.bytesIn))),
            ("bytes_out", .number(Int64(slow.bytesOut))), ("total_ms", .duration(slow.nanoseconds)),
        ]
        fields += slow.phases.map { ("\($0.name)_ms", .duration($0.nanoseconds)) }
        log.write(.notice, "slow request", requestID: slow.requestID, fields)
    }
}

extension SlowRequestLog {
    /// Whatever may be a query by mistake is left out, and what is too long for a path.
    private static func shown(_ path: String) -> String {
        String(decoding: path.utf8.prefix(1_024).prefix { $0 != UInt8(ascii: "#") }, as: UTF8.self)
    }
}

extension ServerProcess {
    /// What is made of the times of requests.
    public var requestWatch: RequestWatch {
        var watch = RequestWatch()
        watch.showsTiming = settings.debugTiming
        if settings.slowRequestMilliseconds > 0 {
            let slow = SlowRequestLog(lines)
            watch.slowerThan = Int64(settings.slowRequestMilliseconds) * 1_000_000
            watch.report = slow.report
        }
        return watch
    }
}
