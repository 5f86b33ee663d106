import Logging
import OperatorLog
import ServerSettings
import Telemetry

/// Writes what swift-log is told as lines of ``OperatorLog``.
struct ProcessLogHandler: LogHandler {
    private let log: OperatorLog
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info

    /// The metadata that names a request; without it, the one that the thread works on is named.
    private static let requestID = "request_id"
    /// For a line that a request led to without being about it.
    static let aboutNoRequest: Logger.Metadata = [requestID: ""]

    init(_ log: OperatorLog) {
        self.log = log
        logLevel = Logger.Level(rawValue: log.level.rawValue) ?? .info
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = metadata.merging(event.metadata ?? [:]) { _, given in given }
        let given = all.removeValue(forKey: Self.requestID)?.description
        let request = given.map { $0.isEmpty ? nil : $0 } ?? RequestTrace.current?.id
        log.write(
            LogLevel(rawValue: event.level.rawValue) ?? .info, event.message.description, requestID: request,
            all.sorted { $0.key < $1.key }.map { ($0.key, .text($0.value.description)) })
    }
}
