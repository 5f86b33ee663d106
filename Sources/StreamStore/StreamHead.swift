import StreamProtocol

/// What the committing thread remembers of a stream between groups, so that an append costs one insert.
final class StreamHead {
    var state: StreamState
    var tail: Int64
    /// Producers looked up so far; nil inside means that the stream doesn't know the id.
    private var producers: [String: ProducerState?] = [:]

    /// More producers than this per stream are looked up again each time.
    private static let producerLimit = 256

    init(state: StreamState, tail: Int64) {
        self.state = state
        self.tail = tail
    }

    func producer(
        _ id: String, lookUp: () throws(StoreError) -> ProducerState?
    ) throws(StoreError) -> ProducerState? {
        if let known = producers[id] { return known }
        let found = try lookUp()
        remember(id, found)
        return found
    }

    func remember(_ id: String, _ state: ProducerState?) {
        if producers.count >= StreamHead.producerLimit { producers.removeAll(keepingCapacity: true) }
        producers[id] = .some(state)
    }
}

/// Heads by name, of a bounded number. Only the thread that commits uses it; it is emptied whenever
/// another process has committed and whenever a transaction is rolled back.
struct HeadCache {
    private var heads: [StreamName: StreamHead] = [:]

    /// About 4 MB with names of usual length.
    private static let limit = 8_192

    subscript(name: StreamName) -> StreamHead? { heads[name] }

    mutating func insert(_ head: StreamHead) {
        if heads.count >= HeadCache.limit { heads.removeAll(keepingCapacity: true) }
        heads[head.state.name] = head
    }

    mutating func remove(_ name: StreamName) { heads[name] = nil }
    mutating func removeAll() { heads.removeAll(keepingCapacity: true) }
}
