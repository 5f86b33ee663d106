/// What a line of a log looks like.
public enum LogFormat: String, Sendable, Equatable, CaseIterable {
    /// For people.
    case text
    /// One JSON object.
    case json
}
