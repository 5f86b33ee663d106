import StreamAccess
import StreamProtocol
import StreamStore

/// Where one reader of server-sent events stands (PROTOCOL section 10).
public struct EventStream: Sendable {
    /// The stream as it was when the request came.
    public let state: StreamState
    /// The position after what was sent.
    public private(set) var position: Int64
    /// For how long the token of the request is good; nil: for ever.
    public let lease: AccessControl.Lease?
    let encoding: EventEncoding
    private var cursor: Int64

    init(state: StreamState, position: Int64, cursor: Int64, lease: AccessControl.Lease? = nil) {
        self.state = state
        self.lease = lease
        self.position = position
        self.cursor = cursor
        encoding = EventEncoding(mediaType: state.mediaType)
    }

    /// What decides the bytes of the next events: readers that agree in it get the same buffer.
    public struct Key: Hashable, Sendable {
        let position: Int64
        let cursor: Int64
    }

    /// The key at a time (milliseconds since 1970). A cursor never decreases within a connection.
    public func key(at now: Int64) -> Key {
        Key(position: position, cursor: max(cursor, Cursor.current(at: now)))
    }

    /// Events for a piece that begins at `position`.
    public struct Events: Sendable {
        /// The bytes of a `data` and a `control` event, or of a `control` event alone.
        public let bytes: [UInt8]
        /// Whether the response ends behind them.
        public let isLast: Bool
        /// Whether nothing is left to read.
        public let reachesTail: Bool
        let end: Int64
        let cursor: Int64
    }

    /// Writes the events for a piece.
    ///
    /// - Parameter always: whether a `control` event goes out even if there is nothing new, as at the
    ///   start of a response.
    /// - Returns: nil when there is nothing to say.
    public func events(for piece: StreamPiece, at key: Key, always: Bool) -> Events? {
        var content = piece.content[...]
        var end = piece.end
        if encoding == .text, !piece.isEmpty {
            // A cut falls between characters, and an append that ends inside one waits for the next: the
            // client must be able to resume behind what it has decoded.
            if !piece.reachesClosedTail {
                let held = UTF8Text.incompleteTail(of: content)
                content = content.dropLast(held)
                end -= Int64(held)
                // A line break of two bytes counts once, so it must not be cut in two.
                if !piece.reachesTail, content.count > 1, content.last == 0x0D {
                    content = content.dropLast()
                    end -= 1
                }
            }
        }
        let closed = piece.reachesClosedTail
        let isEmpty = end <= position
        if isEmpty, !closed, !always { return nil }
        var bytes: [UInt8] = []
        if !isEmpty { EventFraming.writeData(content, encoding: encoding, to: &bytes) }
        EventFraming.writeControl(
            next: state.offset(end), cursor: key.cursor, upToDate: end >= piece.tail, closed: closed,
            to: &bytes)
        return Events(
            bytes: bytes, isLast: closed, reachesTail: piece.reachesTail, end: end, cursor: key.cursor)
    }

    /// Whether a piece that ends before the tail holds nothing but what waits for its other part: the beginning of a
    /// character, or of a line break of two bytes.
    static func completesNothing(_ piece: StreamPiece) -> Bool {
        let content = piece.content[...]
        guard content.count <= 3, !piece.reachesTail, !piece.isEmpty,
            EventEncoding(mediaType: piece.state.mediaType) == .text
        else { return false }
        return content == [0x0D] || UTF8Text.incompleteTail(of: content) == content.count
    }

    /// Notes that events were sent.
    public mutating func advance(over events: Events) {
        position = events.end
        cursor = events.cursor
    }
}
