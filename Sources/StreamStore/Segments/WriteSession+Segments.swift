/// How large the hot part of a stream may get, and a segment.
public struct SegmentLimits: Equatable, Sendable {
    /// Messages (appends of a byte stream) in the hot part at which it rotates.
    public var messages: Int64
    /// Bytes in the hot part at which it rotates; also what a segment has at most, unless one append alone has more.
    public var bytes: Int64

    /// Collects the limits; the defaults are the product's.
    public init(messages: Int64 = 1_000, bytes: Int64 = 4 << 20) {
        self.messages = messages
        self.bytes = bytes
    }
}

/// A segment whose file is durable, on its way into the log.
struct StoredSegment: Sendable {
    var segment: Segment
    var ends: [UInt8]
    /// Bytes of the records that it was made of; 0 for one that was merged.
    var hotBytes: Int64 = 0
}

/// What the log knows of segments, changed in the transactions of the committing thread.
extension WriteSession {
    /// Milliseconds that a file which nobody can find any more is kept, for nginx that was just sent to it.
    static let grace: Int64 = 5_000

    func queueRotation(of stream: Int64) throws(StoreError) {
        statements.segment.queueRotation.bind(1, stream)
        try statements.segment.queueRotation.run()
    }

    func queuePurge(of stream: Int64, below position: Int64) throws(StoreError) {
        statements.queuePurge.bind(1, stream)
        statements.queuePurge.bind(2, position)
        try statements.queuePurge.run()
    }

    func addHot(_ stream: Int64, messages: Int64, bytes: Int64) throws(StoreError) {
        statements.segment.addHot.bind(1, stream)
        statements.segment.addHot.bind(2, messages)
        statements.segment.addHot.bind(3, bytes)
        try statements.segment.addHot.run()
    }

    /// Whether the indexed hot part of a stream has reached a limit.
    func isFull(_ stream: Int64, _ limits: SegmentLimits) throws(StoreError) -> Bool {
        let hot = statements.segment.hot
        hot.bind(1, stream)
        guard try hot.step() else { return false }
        defer { hot.reset() }
        return hot.int(0) >= limits.messages || hot.int(1) >= limits.bytes
    }

    /// Takes a stream off the queue, behind a look that found nothing more to rotate; it may have been closed since.
    func endRotation(of stream: Int64) throws(StoreError) {
        if let state = try state(of: stream), state.closed, try coldEnd(of: state) < tail(of: state) {
            return
        }
        statements.segment.endRotation.bind(1, stream)
        try statements.segment.endRotation.run()
    }

    /// Records a segment that continues what is cold, in place of the hot records that it was made of; they are
    /// removed in steps, and looked at no more from here on. False when the stream has gone or gone on otherwise.
    func add(_ stored: StoredSegment) throws(StoreError) -> Bool {
        let segment = stored.segment
        guard let state = try state(of: segment.stream), try coldEnd(of: state) == segment.start else {
            return false
        }
        try insert(stored)
        try addHot(segment.stream, messages: -segment.appends, bytes: -stored.hotBytes)
        try countUsage([(segment.stream, -stored.hotBytes)])
        try queuePurge(of: segment.stream, below: segment.end)
        tally.rotations += 1
        TestPoint.segmentRecorded.reached()
        return true
    }

    /// Puts one segment in the place of several with the same content. False when these have changed.
    func replace(_ old: [Segment], by stored: StoredSegment, now: Int64) throws(StoreError) -> Bool {
        guard try state(of: stored.segment.stream) != nil else { return false }
        for segment in old {
            guard try segments.segment(of: segment.stream, at: segment.start) == segment else { return false }
        }
        for segment in old { try throwAway(segment, now: now) }
        try insert(stored)
        tally.merges += 1
        TestPoint.mergeRecorded.reached()
        return true
    }

    /// Forgets a segment; its file goes a little later.
    func throwAway(_ segment: Segment, now: Int64) throws(StoreError) {
        statements.segment.remove.bind(1, segment.id)
        try statements.segment.remove.run()
        statements.segment.throwAway.bind(1, segment.key)
        statements.segment.throwAway.bind(2, now + WriteSession.grace)
        try statements.segment.throwAway.run()
    }

    /// Takes removed files off the list.
    func forgetGarbage(_ keys: [String]) throws(StoreError) {
        for key in keys {
            statements.segment.forgetGarbage.bind(1, key)
            try statements.segment.forgetGarbage.run()
        }
        tally.removedFiles += keys.count
    }

    /// Forgets the segments of a deleted stream; true when all are forgotten.
    func purgeSegments(of stream: Int64, now: Int64, _ budget: inout StepBudget) throws(StoreError) -> Bool {
        var found: [Segment] = []
        let limit = max(1, budget.rows)
        statements.segment.ofStream.bind(1, stream)
        statements.segment.ofStream.bind(2, Int64(limit))
        while try statements.segment.ofStream.step() {
            found.append(Segment(row: statements.segment.ofStream))
        }
        for segment in found { try throwAway(segment, now: now) }
        budget.take(rows: found.count)
        guard found.count < limit else { return false }
        for statement in [statements.segment.forgetHot, statements.segment.endRotation] {
            statement.bind(1, stream)
            try statement.run()
        }
        return true
    }

    /// Where the hot part of a stream begins.
    func coldEnd(of state: StreamState) throws(StoreError) -> Int64 {
        max(try segments.end(of: state.id) ?? 0, state.emptyTail)
    }

    func state(of stream: Int64) throws(StoreError) -> StreamState? {
        statements.findStreamByID.bind(1, stream)
        guard try statements.findStreamByID.step() else { return nil }
        defer { statements.findStreamByID.reset() }
        return StreamState(row: statements.findStreamByID)
    }

    private func insert(_ stored: StoredSegment) throws(StoreError) {
        let segment = stored.segment
        let insert = statements.segment.insert
        insert.bind(1, segment.stream)
        insert.bind(2, segment.start)
        insert.bind(3, segment.end)
        insert.bind(4, segment.bytes)
        insert.bind(6, segment.tier)
        insert.bind(7, segment.appends)
        insert.bind(8, segment.newest)
        try insert.withBlob(5, segment.checksum) { () throws(StoreError) in
            try insert.withBlob(9, stored.ends) { () throws(StoreError) in try insert.run() }
        }
    }
}
