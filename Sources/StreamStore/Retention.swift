/// How much of a stream's history is kept, by up to three limits.
///
/// Data may go as soon as one of them no longer asks for it. Whole segments go, so more may stay, never less.
public struct Retention: Equatable, Sendable {
    /// Seconds for which what was appended stays; 0: for ever; nil: as the server's default says.
    public var age: Int64?
    /// Bytes, as they go out, that stay at the end of the stream; 0: all; nil: as the server's default says.
    public var bytes: Int64?
    /// Messages (appends of a byte stream) that stay at the end of the stream; 0: all; nil: as the server's default
    /// says.
    public var messages: Int64?

    /// Collects the limits.
    public init(age: Int64? = nil, bytes: Int64? = nil, messages: Int64? = nil) {
        self.age = age
        self.bytes = bytes
        self.messages = messages
    }

    /// The numbers that are shown of a stream: its own, else the server's where there is a limit.
    public func shown(beside defaults: Retention) -> Retention {
        func pick(_ own: Int64?, _ other: Int64?) -> Int64? { own ?? (other == 0 ? nil : other) }
        return Retention(
            age: pick(age, defaults.age), bytes: pick(bytes, defaults.bytes),
            messages: pick(messages, defaults.messages))
    }

    /// The limits that hold; nil where there is none.
    public func limits(beside defaults: Retention) -> Retention {
        let shown = shown(beside: defaults)
        func limit(_ number: Int64?) -> Int64? { number == 0 ? nil : number }
        return Retention(age: limit(shown.age), bytes: limit(shown.bytes), messages: limit(shown.messages))
    }

    /// Whether nothing is given.
    public var isEmpty: Bool { self == Retention() }

    /// The part of a limit that a merged segment may span, so that merging doesn't make cuts much coarser.
    static let mergedPart: Int64 = 4

    /// Milliseconds between two looks at a stream whose data ages; nil when they don't. At each look its hot part moves
    /// into a segment, so data goes at the latest a quarter of the age, and at least a second, after it may.
    var interval: Int64? {
        age.flatMap { $0 == 0 ? nil : max(1_000, $0 * 1_000 / Retention.mergedPart) }
    }
}
