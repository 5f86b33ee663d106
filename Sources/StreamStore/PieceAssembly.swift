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

    init(isJSON: Bool, start: Int64, limit: Int) {
        self.isJSON = isJSON
        self.limit = limit
        end = start
        if isJSON { content.append(UInt8(ascii: "[")) }
    }

    /// Adds what a record (position, units, boundaries, payload) holds from `end` on; false when the
    /// piece is full and the record was not taken whole.
    mutating func add(_ record: SQLiteStatement) -> Bool {
        let position = record.int(0)
        let units = record.int(1)
        let skip = end - position
        guard skip < units else { return true }
        let payload = record.blob(3)
        if isJSON {
            return addMessages(record.blob(2), payload, skip: Int(skip), units: Int(units))
        }
        let rest = payload[min(Int(skip), payload.count)...]
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
        var to = payload.count
        if content.count + to - from > limit {
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

    mutating func finish() -> [UInt8] {
        if isJSON { content.append(UInt8(ascii: "]")) }
        return content
    }
}
