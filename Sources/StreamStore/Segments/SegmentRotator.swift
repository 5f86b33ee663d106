import StreamProtocol

/// Makes segments: out of hot records, and out of smaller segments. It only reads; one thread uses it.
final class SegmentRotator {
    private let connection: SQLiteConnection
    private let begin: SQLiteStatement
    private let commit: SQLiteStatement
    private let nextRotation: SQLiteStatement
    private let streamByID: SQLiteStatement
    private let garbage: SQLiteStatement
    private let known: SQLiteStatement
    private let details: SQLiteStatement
    private let index: RecordIndex
    private let segments: SegmentIndex
    private let files: SegmentFiles
    private let limits: SegmentLimits

    /// Segments of one tier that are merged into one of the next, so that each byte is written once more per tier.
    private static let fanOut = 8

    init(_ files: StoreFiles, _ limits: SegmentLimits) throws(StoreError) {
        connection = try Schema.openForReading(files)
        begin = try connection.prepare("BEGIN")
        commit = try connection.prepare("COMMIT")
        nextRotation = try connection.prepare("SELECT stream FROM rotation ORDER BY stream LIMIT 1")
        streamByID = try connection.prepare("SELECT \(StreamState.columns) FROM stream WHERE id = ?1")
        garbage = try connection.prepare("SELECT key FROM garbage WHERE after <= ?1 LIMIT ?2")
        known = try connection.prepare(
            "SELECT 1 FROM segment WHERE stream = ?1 AND start = ?2 AND end = ?3 UNION ALL SELECT 1 FROM garbage WHERE key = ?4"
        )
        details = try connection.prepare("SELECT appends, newest FROM segment WHERE id = ?1")
        index = try RecordIndex(connection)
        segments = try SegmentIndex(connection)
        self.files = files.segments
        self.limits = limits
    }

    /// A stream that is queued for rotation.
    func nextStream() throws(StoreError) -> Int64? {
        guard try nextRotation.step() else { return nil }
        defer { nextRotation.reset() }
        return nextRotation.int(0)
    }

    /// The next segment of a stream and its content; nil when nothing is to be rotated now.
    func build(_ stream: Int64, now: Int64) throws(StoreError) -> (StoredSegment, [UInt8])? {
        try connection.readTransaction(begin: begin, commit: commit) { () throws(StoreError) in
            guard let state = try self.state(of: stream) else { return nil }
            try self.index.refresh()
            let start = try self.segments.end(of: stream) ?? state.basePosition
            let isJSON = state.mediaType.isJSON
            var content: [UInt8] = isJSON ? [UInt8(ascii: "[")] : []
            var ends: [UInt32] = []
            var end = start
            var isCut = false
            var hotBytes: Int64 = 0
            try self.index.records(of: stream, from: start) { record in
                // The record before may be there still, on its way out.
                guard record.int(0) >= start else { return true }
                let payload = record.blob(3)
                guard ends.isEmpty || content.count + payload.count + 2 <= self.limits.bytes else {
                    isCut = true
                    return false
                }
                if isJSON, !ends.isEmpty { content.append(UInt8(ascii: ",")) }
                let base = UInt32(content.count)
                let boundaries = record.blob(2)
                for offset in stride(from: 0, to: boundaries.count - 3, by: 4) {
                    ends.append(
                        base
                            + UInt32(
                                littleEndian: boundaries.loadUnaligned(
                                    fromByteOffset: offset, as: UInt32.self)))
                }
                if boundaries.isEmpty { ends.append(base + UInt32(payload.count)) }
                content.append(contentsOf: payload)
                hotBytes += Int64(payload.count)
                end = record.int(0) + record.int(1)
                return true
            }
            let isFull = isCut || ends.count >= self.limits.messages || content.count >= self.limits.bytes
            guard !ends.isEmpty, isFull || state.closed else { return nil }
            if isJSON { content.append(UInt8(ascii: "]")) }
            var stored = SegmentRotator.describe(
                stream, start..<end, content, ends, tier: 0, appends: Int64(ends.count), newest: now)
            stored.hotBytes = hotBytes
            return (stored, content)
        }
    }

    /// A run of small segments, and the one that takes their place; nil when there is none.
    ///
    /// Eight of a tier make one of the next, or as many as fit into a segment.
    func merge(_ stream: Int64) throws(StoreError) -> ([Segment], StoredSegment, [UInt8])? {
        try connection.readTransaction(begin: begin, commit: commit) { () throws(StoreError) in
            guard let state = try self.state(of: stream) else { return nil }
            // Beyond them, everything was looked at when it was new.
            let newest = try self.segments.newest(of: stream, limit: 8 * SegmentRotator.fanOut)
            guard let old = SegmentRotator.run(in: newest.reversed(), limit: self.limits.bytes) else {
                return nil
            }
            return try self.join(old, isJSON: state.mediaType.isJSON)
        }
    }

    /// The oldest segments of the last run of equal tiers that is long enough, as many as fit.
    static func run(in segments: [Segment], limit: Int64) -> [Segment]? {
        var behind = segments.count
        while behind > 0 {
            let tier = segments[behind - 1].tier
            let first = segments[..<behind].lastIndex { $0.tier != tier }.map { $0 + 1 } ?? 0
            if behind - first >= fanOut {
                var run: [Segment] = []
                var bytes: Int64 = 0
                for segment in segments[first..<behind].prefix(fanOut) {
                    bytes += segment.bytes
                    guard bytes <= limit else { break }
                    run.append(segment)
                }
                if run.count > 1 { return run }
            }
            behind = first
        }
        return nil
    }

    private func join(
        _ old: [Segment], isJSON: Bool
    ) throws(StoreError) -> ([Segment], StoredSegment, [UInt8])? {
        guard let first = old.first, let last = old.last else { return nil }
        var content: [UInt8] = []
        var ends: [UInt32] = []
        var appends: Int64 = 0
        var newest: Int64 = 0
        for segment in old {
            var part = try files.read(segment)[...]
            // The array goes on where it ended: its bracket becomes the comma.
            if isJSON, !content.isEmpty {
                content[content.count - 1] = UInt8(ascii: ",")
                part = part.dropFirst()
            }
            let shift = Int64(content.count) - (isJSON && !content.isEmpty ? 1 : 0)
            for end in try segments.ends(of: segment).offsets { ends.append(UInt32(Int64(end) + shift)) }
            content.append(contentsOf: part)
            details.bind(1, segment.id)
            guard try details.step() else { return nil }
            appends += details.int(0)
            newest = max(newest, details.int(1))
            details.reset()
        }
        let stored = SegmentRotator.describe(
            first.stream, first.start..<last.end, content, ends, tier: first.tier + 1, appends: appends,
            newest: newest)
        return (old, stored, content)
    }

    /// Files that nobody can find any more, and nobody is on the way to.
    func garbage(now: Int64, limit: Int) throws(StoreError) -> [String] {
        garbage.bind(1, now)
        garbage.bind(2, Int64(limit))
        var keys: [String] = []
        while try garbage.step() { keys.append(garbage.text(0)) }
        return keys
    }

    /// Removes what a crash has left between a file and its row. Call it before anything is rotated.
    func removeOrphans(_ storage: any SegmentStorage, until isStopping: () -> Bool) throws(StoreError) {
        try storage.list { (key, isWhole) throws(StoreError) in
            if let parts = SegmentKey.parts(key), isWhole {
                known.bind(1, parts.stream)
                known.bind(2, parts.start)
                known.bind(3, parts.end)
                known.bind(4, key)
                if try known.step() {
                    known.reset()
                    return !isStopping()
                }
            }
            try storage.delete(key)
            return !isStopping()
        }
    }

    private func state(of stream: Int64) throws(StoreError) -> StreamState? {
        streamByID.bind(1, stream)
        guard try streamByID.step() else { return nil }
        defer { streamByID.reset() }
        return StreamState(row: streamByID)
    }

    private static func describe(
        _ stream: Int64, _ range: Range<Int64>, _ content: [UInt8], _ ends: [UInt32], tier: Int64,
        appends: Int64,
        newest: Int64
    ) -> StoredSegment {
        StoredSegment(
            segment: Segment(
                stream: stream, start: range.lowerBound, end: range.upperBound, bytes: Int64(content.count),
                checksum: SegmentChecksum.of(content), tier: tier),
            appends: appends, newest: newest, ends: SegmentEnds(ends).bytes)
    }
}
