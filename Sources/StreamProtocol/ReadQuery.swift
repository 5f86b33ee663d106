/// How a read wants to be served.
public enum ReadMode: Equatable, Sendable {
    /// Answer at once with what is there.
    case catchUp
    /// Wait for data when there is none.
    case longPoll
    /// Follow by server-sent events.
    case serverSentEvents

    /// Whether the live process serves this.
    public var isLive: Bool { self != .catchUp }
}

/// The query of a read (PROTOCOL sections 2.3 and 4.3).
public struct ReadQuery: Equatable, Sendable {
    /// The first `live` parameter decides; unknown values mean catch-up.
    public var mode: ReadMode = .catchUp
    /// What `offset` says; nil when it is repeated, empty or malformed (400).
    public var offset: RequestedOffset? = .start
    /// Whether `offset` was given at all; live modes require it.
    public var hasOffset = false
    /// A usable `cursor`.
    public var cursor: Int64?

    /// Reads an undecoded query string.
    public init(_ query: String?) {
        guard let query, !query.isEmpty else { return }
        var seenMode = false
        for (name, value) in QueryParameters(query) {
            if name.elementsEqual("offset".utf8) {
                offset = hasOffset ? nil : RequestedOffset(value: value)
                hasOffset = true
            } else if name.elementsEqual("live".utf8), !seenMode {
                seenMode = true
                if value.elementsEqual("long-poll".utf8) {
                    mode = .longPoll
                } else if value.elementsEqual("sse".utf8) {
                    mode = .serverSentEvents
                }
            } else if name.elementsEqual("cursor".utf8) {
                cursor = Cursor.parse(String(decoding: value, as: UTF8.self))
            }
        }
    }
}
