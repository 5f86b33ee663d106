import Synchronization

/// How many verdicts nginx may be told to remember in a second: each takes a page or two of memory until nginx tidies up,
/// which may be ten seconds later (some 22 MB then), and whoever has a token for one stream can ask for as many different
/// ones as requests fit into a second.
final class VerdictBudget: Sendable {
    /// The second, and how many it has had.
    private let state = Mutex((second: Int64(0), count: 0))

    /// Most in a second of all workers together; what comes on top is judged each time, by a request to the pool.
    private static let limit = 500
    private let limit: Int

    /// - Parameter workers: processes that share the budget.
    init(workers: Int) { limit = max(1, VerdictBudget.limit / max(1, workers)) }

    /// Most bytes of what a verdict depends on.
    static let longestKey = 2_048

    /// Whether one more may be remembered.
    ///
    /// - Parameter second: since 1970.
    func take(in second: Int64) -> Bool {
        state.withLock { state in
            if state.second != second { state = (second, 0) }
            guard state.count < limit else { return false }
            state.count += 1
            return true
        }
    }
}
