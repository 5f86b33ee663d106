/// How much the processes log. The names are those of swift-log.
public enum LogLevel: String, Sendable, Equatable, CaseIterable, Comparable {
    case trace, debug, info, notice, warning, error, critical

    /// Orders by severity.
    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.severity < right.severity }

    private var severity: Int { LogLevel.allCases.firstIndex(of: self) ?? 0 }
}
