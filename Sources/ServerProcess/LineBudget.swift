import Synchronization

/// So many lines of a kind a second, and how many there would have been.
final class LineBudget: Sendable {
    private struct Count {
        var second: Int64 = 0
        var lines = 0
        var suppressed = 0
    }

    private let limit: Int
    private let count = Mutex(Count())

    init(linesPerSecond limit: Int) { self.limit = limit }

    /// Takes a line.
    ///
    /// - Returns: whether it may be written, and how many were not in the last second that had any.
    func take() -> (isShown: Bool, suppressed: Int) {
        let second = ServerProcess.unmovedMilliseconds() / 1_000
        return count.withLock { count in
            var suppressed = 0
            if count.second != second {
                suppressed = count.suppressed
                count = Count(second: second)
            }
            guard count.lines < limit else {
                count.suppressed += 1
                return (false, 0)
            }
            count.lines += 1
            return (true, suppressed)
        }
    }
}
