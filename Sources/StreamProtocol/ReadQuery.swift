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

    /// Reads the query of a request.
    public init(_ target: RequestTarget) {
        if let token = target.withQuery(ReadQuery.plainOffset) {
            self.init(plain: token)
        } else {
            self.init(any: target.query ?? "")
        }
    }

    /// Reads an undecoded query string.
    public init(_ query: String?) {
        var query = query ?? ""
        if let token = query.withUTF8(ReadQuery.plainOffset) {
            self.init(plain: token)
        } else {
            self.init(any: query)
        }
    }

    private init(plain token: Offset) {
        offset = token.isZero ? .start : .token(token)
        hasOffset = true
    }

    private init(any query: String) {
        guard !query.isEmpty else { return }
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

    /// The usual query, decided without taking it apart: `offset=` and a token.
    private static func plainOffset(_ query: UnsafeBufferPointer<UInt8>) -> Offset? {
        let name: StaticString = "offset="
        let length = name.utf8CodeUnitCount
        guard query.count == length + Offset.textLength else { return nil }
        for index in 0..<length where query[index] != name.utf8Start[index] { return nil }
        return Offset(UnsafeBufferPointer(rebasing: query[length...]))
    }
}
