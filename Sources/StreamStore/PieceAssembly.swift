import StreamProtocol

/// Puts records together to a piece of bounded size.
///
/// Whole records go in while they fit. Only a first record that is larger than the limit by itself is
/// cut: between messages, or, in a byte stream, anywhere. So the same start gives the same piece for
/// ever once it doesn't reach the tail, and caches may keep it.
struct PieceAssembly {
    private let isJSON: Bool
    private let limit: Int
    private(set) var end: Int64
    private var content: [UInt8] = []
    private var started = false
    /// Whether a unit was left out because it would not fit.
    private(set) var isFull = false

    init(isJSON: Bool, start: Int64, limit: Int) {
        self.isJSON = isJSON
        self.limit = limit
        end = start
        if isJSON { content.append(UInt8(ascii: "[")) }
    }

    /// Adds what a record (position, units, boundaries, payload) holds from `end` on.
    ///
    /// - Parameter bound: nothing from this position on is taken, as if it had never been appended.
    /// - Returns: false when there is no need of more records: the piece is full, or has reached the bound.
    mutating func add(_ record: SQLiteStatement, until bound: Int64 = .max) -> Bool {
        let position = record.int(0)
        let units = min(record.int(1), bound - position)
        let skip = end - position
        guard skip < units else { return end < bound }
        let payload = record.blob(3)
        if isJSON {
            return addMessages(record.blob(2), payload, skip: Int(skip), units: Int(units)) && end < bound
        }
        return addBytes(payload[min(Int(skip), payload.count)..<min(Int(units), payload.count)])
            && end < bound
    }

    private mutating func addBytes(_ rest: Slice<UnsafeRawBufferPointer>) -> Bool {
        let room = limit - content.count
        if rest.count <= room || (!started && rest.count <= limit) {
            content.append(contentsOf: rest)
            end += Int64(rest.count)
            started = true
            return true
        }
        if !started {
            content.append(contentsOf: rest.prefix(limit))
            end += Int64(limit)
            started = true
        }
        isFull = true
        return false
    }

    private mutating func addMessages(
        _ boundaries: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, skip: Int, units: Int
    ) -> Bool {
        /// Where message `index` of the record ends in its payload; one message has no boundaries stored.
        func messageEnd(_ index: Int) -> Int {
            guard (index + 1) * 4 <= boundaries.count else { return payload.count }
            return Int(
                UInt32(littleEndian: boundaries.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)))
        }
        let from = skip == 0 ? 0 : messageEnd(skip - 1) + 1
        var taken = units
        var to = messageEnd(units - 1)
        if content.count + to - from > limit {
            isFull = true
            if started { return false }
            taken = skip + 1
            to = messageEnd(skip)
            while taken < units, messageEnd(taken) - from < limit {
                to = messageEnd(taken)
                taken += 1
            }
        }
        if started { content.append(UInt8(ascii: ",")) }
        content.append(contentsOf: payload[from..<to])
        end += Int64(taken - skip)
        started = true
        return taken == units
    }

    /// Adds what a segment holds from `end` on, cut between messages or appends where it can be.
    ///
    /// - Parameters:
    ///   - ends: where its messages or appends end.
    ///   - bound: nothing from this position on is taken.
    ///   - read: gives part of the segment's file.
    mutating func add(
        _ segment: Segment, _ ends: SegmentEnds, until bound: Int64,
        read: (Range<Int>) throws(StoreError) -> [UInt8]
    ) throws(StoreError) {
        let skip = Int(end - segment.start)
        let units = Int(min(segment.end, bound) - segment.start)
        guard skip < units else { return }
        let room = limit - content.count
        if isJSON {
            // The array's opening bracket, or the comma behind the message before.
            let from = skip == 0 ? 1 : Int(ends.offsets[skip - 1]) + 1
            var taken = min(units, ends.first(above: from + room))
            if taken <= skip {
                isFull = true
                if started { return }
                taken = skip + 1
            }
            let bytes = try read(from..<Int(ends.offsets[taken - 1]))
            if started { content.append(UInt8(ascii: ",")) }
            content.append(contentsOf: bytes)
            end += Int64(taken - skip)
            isFull = isFull || taken < units
        } else {
            var to = units
            if units - skip > room {
                isFull = true
                let boundary = ends.first(above: skip + room) - 1
                if boundary >= 0, Int(ends.offsets[boundary]) > skip {
                    to = Int(ends.offsets[boundary])
                } else {
                    if started { return }
                    to = skip + limit
                }
            }
            content.append(contentsOf: try read(skip..<to))
            end += Int64(to - skip)
        }
        started = true
    }

    mutating func finish() -> [UInt8] {
        if isJSON { content.append(UInt8(ascii: "]")) }
        return content
    }
}
