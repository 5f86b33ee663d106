import StreamProtocol

/// Makes segments, and says what retention allows to go. It only reads; one thread uses it.
final class SegmentRotator {
    private let connection: SQLiteConnection
    private let begin: SQLiteStatement
    private let commit: SQLiteStatement
    private let nextRotation: SQLiteStatement
    private let rotations: SQLiteStatement
    private let streamByID: SQLiteStatement
    private let garbage: SQLiteStatement
    private let known: SQLiteStatement
    let index: RecordIndex
    let segments: SegmentIndex
    let files: SegmentFiles
    let limits: SegmentLimits
    let retentionStatements: RetentionStatements

    init(_ files: StoreFiles, _ limits: SegmentLimits) throws(StoreError) {
        connection = try Schema.openForReading(files)
        begin = try connection.prepare("BEGIN")
        commit = try connection.prepare("COMMIT")
        nextRotation = try connection.prepare("SELECT stream FROM rotation ORDER BY stream LIMIT 1")
        rotations = try connection.prepare("SELECT count(*) FROM rotation")
        streamByID = try connection.prepare("SELECT \(StreamState.columns) FROM stream WHERE id = ?1")
        garbage = try connection.prepare("SELECT key FROM garbage WHERE after <= ?1 LIMIT ?2")
        known = try connection.prepare(
            "SELECT 1 FROM segment WHERE stream = ?1 AND start = ?2 AND end = ?3 UNION ALL SELECT 1 FROM garbage WHERE key = ?4"
        )
        index = try RecordIndex(connection)
        segments = try SegmentIndex(connection)
        retentionStatements = try RetentionStatements(connection)
        self.files = files.segments
        self.limits = limits
    }

    /// A stream that is queued for rotation.
    func nextStream() throws(StoreError) -> Int64? {
        guard try nextRotation.step() else { return nil }
        defer { nextRotation.reset() }
        return nextRotation.int(0)
    }

    /// How many streams are queued for rotation.
    func queueLength() throws(StoreError) -> Int64 {
        guard try rotations.step() else { return 0 }
        defer { rotations.reset() }
        return rotations.int(0)
    }

    /// Reads in one view of the log.
    func view<T>(_ body: () throws(StoreError) -> T) throws(StoreError) -> T {
        try connection.readTransaction(begin: begin, commit: commit, body)
    }

    /// The next segment of a stream and its content; nil when nothing is to be rotated now.
    ///
    /// - Parameters:
    ///   - clock: milliseconds since 1970; asked when everything was read.
    ///   - anySize: whether a hot part that is not full goes too.
    func build(
        _ stream: Int64, clock: () -> Int64, anySize: Bool = false
    ) throws(StoreError) -> (StoredSegment, [UInt8])? {
        try view { () throws(StoreError) in
            guard let state = try self.state(of: stream) else { return nil }
            try self.index.refresh()
            let start = max(try self.segments.end(of: stream) ?? 0, state.emptyTail)
            let isJSON = state.mediaType.isJSON
            var content: [UInt8] = isJSON ? [UInt8(ascii: "[")] : []
            var ends: [UInt32] = []
            var end = start
            var isCut = false
            var hotBytes: Int64 = 0
            var newest: Int64 = 0
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
                newest = max(newest, record.int(4))
                end = record.int(0) + record.int(1)
                return true
            }
            let isFull = isCut || ends.count >= self.limits.messages || content.count >= self.limits.bytes
            guard !ends.isEmpty, isFull || state.closed || anySize else { return nil }
            if isJSON { content.append(UInt8(ascii: "]")) }
            var stored = SegmentRotator.describe(
                stream, start..<end, content, ends, tier: 0, appends: Int64(ends.count),
                // Versions before 3 did not write down when a record came.
                newest: newest > 0 ? newest : clock())
            stored.hotBytes = hotBytes
            return (stored, content)
        }
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

    func state(of stream: Int64) throws(StoreError) -> StreamState? {
        streamByID.bind(1, stream)
        guard try streamByID.step() else { return nil }
        defer { streamByID.reset() }
        return StreamState(row: streamByID)
    }

    static func describe(
        _ stream: Int64, _ range: Range<Int64>, _ content: [UInt8], _ ends: [UInt32], tier: Int64,
        appends: Int64, newest: Int64
    ) -> StoredSegment {
        StoredSegment(
            segment: Segment(
                stream: stream, start: range.lowerBound, end: range.upperBound, bytes: Int64(content.count),
                checksum: SegmentChecksum.of(content), tier: tier, appends: appends, newest: newest),
            ends: SegmentEnds(ends).bytes)
    }
}
