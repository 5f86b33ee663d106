/// A stream that a commit has changed: it has new content, or is closed, or gone.
public struct StreamChange: Equatable, Sendable {
    /// The stream's id.
    public let id: Int64
    /// All that has changed, if that is one small append.
    public var appended: Appended?

    /// Names a stream.
    public init(id: Int64, appended: Appended? = nil) {
        self.id = id
        self.appended = appended
    }
}

/// What a committed append has added to a stream that stays open. A fact that nothing can change any more: streams only
/// grow, and no two ever have the same id.
public struct Appended: Equatable, Sendable {
    /// The position before it.
    public let start: Int64
    /// The position behind it, which was the stream's tail.
    public let end: Int64
    /// As it is stored: bytes, or the messages of a JSON stream with commas between.
    public let payload: [UInt8]

    /// Most bytes of a payload that is told.
    public static let limit = 8_192

    /// Collects the parts.
    public init(start: Int64, end: Int64, payload: [UInt8]) {
        self.start = start
        self.end = end
        self.payload = payload
    }
}

extension StreamPiece {
    /// The piece that an append is: what a read from its start finds behind its commit.
    ///
    /// - Parameter state: of its stream, from before or behind it.
    public init(_ appended: Appended, of state: StreamState) {
        var content = appended.payload
        if state.mediaType.isJSON {
            content.reserveCapacity(content.count + 2)
            content.insert(UInt8(ascii: "["), at: 0)
            content.append(UInt8(ascii: "]"))
        }
        self.init(
            state: state, start: appended.start, end: appended.end, tail: appended.end, content: content)
    }
}
