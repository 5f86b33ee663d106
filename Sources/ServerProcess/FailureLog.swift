import Logging
import StreamStore
import Synchronization
import Telemetry

/// Logs failures of the store. A full disk fails every write, so it is told once in ten seconds.
final class FailureLog: Sendable {
    private let log: Logger
    private let lastFull = Mutex<ContinuousClock.Instant?>(nil)

    private static let interval = Duration.seconds(10)

    private let telemetry: Telemetry

    init(_ log: Logger, _ telemetry: Telemetry) {
        self.log = log
        self.telemetry = telemetry
    }

    /// A write failed; what the store has to say of it was reported by itself.
    func reportWrite(_ error: StoreError) {
        switch error.kind {
        case .full, .busy: break
        default: log.error("a write failed: \(error)")
        }
    }

    func report(_ error: StoreError) {
        telemetry.add(.storeFailures)
        if error.kind == .full {
            let now = ContinuousClock.now
            let isNew = lastFull.withLock { last in
                if let known = last, now - known < FailureLog.interval { return false }
                last = now
                return true
            }
            guard isNew else { return }
        }
        log.error("\(error)")
    }
}
