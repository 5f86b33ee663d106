/// Giving the space of what was removed back to the disk.
extension WriteSession {
    /// Free pages that the file may keep for the next records: 16 MiB, or a twentieth of the file.
    private static let keptPages: Int64 = 4_096
    /// Pages in use up to which all may be written anew at once: 16 MiB, some 60 ms.
    private static let compactPages: Int64 = 4_096
    /// Pages that a step takes off at least, unless they lie scattered. To find a given page in the list of free ones,
    /// SQLite reads the list; what was freed last, usually the end of the file, it finds at once, but anything else
    /// only behind all of the list: 0.3 ms in one of 140,000 pages.
    private static let fewestPages = 4

    /// What a step of the vacuum has found.
    public enum VacuumOutcome: Equatable, Sendable {
        /// Few free pages are left.
        case done
        /// There is more to take off.
        case goesOn
        /// There is more, which lies scattered; where little is in use, writing all of that anew is cheaper.
        case scattered(isSmall: Bool)
    }

    /// Takes free pages off the end of the file, moving what lies behind them (https://sqlite.org/pragma.html
    /// #pragma_incremental_vacuum); the file itself gets shorter with the next checkpoint.
    ///
    /// - Parameter microseconds: time after which the step ends.
    public func vacuum(microseconds: Int64) throws(StoreError) -> VacuumOutcome {
        let deadline = MonotonicInstant.now + microseconds
        var count = 0
        var isSmall = false
        repeat {
            let free = try number(statements.freePages)
            let all = try number(statements.allPages)
            guard free > max(WriteSession.keptPages, all / 20) else { return .done }
            isSmall = all - free <= WriteSession.compactPages
            try statements.vacuum.run()
            TestPoint.vacuumStep.reached()
            count += 1
        } while MonotonicInstant.now < deadline
        return count < WriteSession.fewestPages ? .scattered(isSmall: isSmall) : .goesOn
    }
}
