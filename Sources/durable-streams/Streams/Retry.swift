import Glibc
import StreamClient
import Supervision

/// When to try again, and how often: pauses double from a tenth of a second to five seconds, with a random part, so that
/// many clients do not come back at once.
struct Retry {
    /// Seconds for which to go on without any success; nil: for ever.
    let patience: Double?

    private var pause = Retry.shortest
    private var since: Double?

    private static let shortest = 0.1
    private static let longest = 5.0

    init(patience: Double?) { self.patience = patience }

    /// Notes that it worked.
    mutating func succeeded() {
        pause = Retry.shortest
        since = nil
    }

    /// Waits for the next try.
    ///
    /// - Parameters:
    ///   - asked: seconds that the server asked for.
    ///   - goesOn: false ends the wait.
    /// - Returns: false when patience is at its end, or the wait was ended.
    mutating func wait(asked: Double? = nil, while goesOn: () -> Bool = { true }) -> Bool {
        let now = StopSignal.now
        let start = since ?? now
        since = start
        let wait = max(asked ?? 0, pause * Double.random(in: 0.5...1))
        pause = min(pause * 2, Retry.longest)
        if let patience, now + wait - start > patience { return false }
        return StopSignal.sleep(wait, while: goesOn)
    }

    /// The seconds of `Retry-After`; dates are not taken.
    static func asked(_ response: HTTPResponse) -> Double? {
        response.fields["Retry-After"].flatMap { Double($0) }.map { min(max($0, 0), 60) }
    }
}
