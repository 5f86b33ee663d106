/// What can go wrong with projects, secrets and their key. Every case carries what an operator needs; none of
/// it is for clients, and no secret is ever in it.
public struct AccessError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kinds of failure that callers treat differently.
    public enum Kind: Sendable {
        /// There is no such thing.
        case absent
        /// There is one already.
        case occupied
        /// What was asked for is not allowed.
        case refused
        /// The secrets key or a setting is not as it must be: the operator has to mend it.
        case configuration
        /// Anything else: the disk, memory, or a defect.
        case failed
    }

    /// How callers treat it.
    public let kind: Kind
    /// One line: what happened, to what, and what mends it where something does.
    public let message: String

    /// The message.
    public var description: String { message }

    /// Describes a failure.
    public init(kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }
}
