import StreamProtocol

/// Looks at each stream of a hot log: whether its segments and records follow on each other, and hold what they say; then
/// at what refers to streams.
final class LogVerification {
    private let log: SQLiteConnection
    private let files: StoreFiles
    private let index: RecordIndex
    private let segments: SegmentIndex
    private let streams: SQLiteStatement
    private let segmentsOf: SQLiteStatement
    private let waitsForPurge: SQLiteStatement
    private let lineage: SQLiteStatement
    private let forksOf: SQLiteStatement
    /// What streams that have forks hold themselves, without gaps.
    private var holdings: [Int64: [Range<Int64>]] = [:]

    init(_ log: SQLiteConnection, _ files: StoreFiles) throws(StoreError) {
        self.log = log
        self.files = files
        index = try RecordIndex(log)
        segments = try SegmentIndex(log)
        streams = try log.prepare("SELECT \(StreamState.columns) FROM stream ORDER BY id")
        segmentsOf = try log.prepare(
            "SELECT \(Segment.columns) FROM segment WHERE stream = ?1 ORDER BY start")
        waitsForPurge = try log.prepare("SELECT 1 FROM purge WHERE stream = ?1 LIMIT 1")
        forksOf = try log.prepare("SELECT 1 FROM stream WHERE source = ?1 LIMIT 1")
        lineage = try log.prepare("SELECT lineage FROM stream WHERE id = ?1")
    }

    func run(_ observer: WorkObserver, streams count: Int64) throws(StoreError) {
        try index.refresh()
        var done: Int64 = 0
        // A source is older than its forks.
        while try streams.step() {
            if done % 64 == 0 {
                observer.progress(Progress(step: "streams", done: done, total: count, isBytes: false))
            }
            done += 1
            try verify(StreamState(row: streams), observer)
        }
        observer.progress(Progress(step: "streams", done: count, total: count, isBytes: false))
        try ReferenceVerification(log, files).run(observer)
    }

    private func verify(_ state: StreamState, _ observer: WorkObserver) throws(StoreError) {
        func tell(_ what: String) {
            observer.found(Finding(stream: state.name.text, what))
        }
        var held: [Range<Int64>] = []
        func hold(_ start: Int64, _ end: Int64) {
            if let last = held.last, last.upperBound == start {
                held[held.count - 1] = last.lowerBound..<end
            } else if start < end {
                held.append(start..<end)
            }
        }
        // What only forks read may have gaps.
        let first = state.emptyTail
        var end: Int64?
        segmentsOf.bind(1, state.id)
        var cold: [Segment] = []
        while try segmentsOf.step() { cold.append(Segment(row: segmentsOf)) }
        for segment in cold {
            if let damage = try endsDamage(of: segment, isJSON: state.mediaType.isJSON) {
                tell("segment \(segment.key) \(damage)")
            }
            if segment.end > first, let gap = Self.gap(end ?? first, segment.start, isFirst: end == nil) {
                tell("segment \(segment.key) \(gap)")
            } else if let last = held.last, segment.start < last.upperBound {
                tell("segment \(segment.key) overlaps the one before")
            }
            hold(segment.start, max(segment.start, segment.end))
            if segment.end > first { end = segment.end }
        }
        var position = max(end ?? first, first)
        let coldEnd = position
        var isLeftOver = false
        try index.records(of: state.id, from: 0) { record in
            let (start, units) = (record.int(0), record.int(1))
            if start + units <= coldEnd {
                isLeftOver = true
                return true
            }
            if let damage = Self.recordDamage(record, isJSON: state.mediaType.isJSON) {
                tell("the record at position \(start) \(damage)")
            }
            if let gap = Self.gap(position, start, isFirst: false) {
                tell("the record at position \(start) \(gap)")
            }
            hold(start, start + units)
            position = start + units
            return true
        }
        if state.earliest > position {
            tell("begins at position \(state.earliest), behind its end at \(position)")
        }
        if isLeftOver, end != nil, try !waitsForPurge(state.id) {
            observer.found(
                Finding(
                    subject: "stream \(state.name.text)",
                    what: "has records that segments have taken over, and nothing removes them",
                    mend: purge(state.id, below: coldEnd)))
        }
        if try isSource(state.id) { holdings[state.id] = held }
        try verifyInherited(state, tell)
    }

    private func isSource(_ stream: Int64) throws(StoreError) -> Bool {
        forksOf.bind(1, stream)
        defer { forksOf.reset() }
        return try forksOf.step()
    }

    private func waitsForPurge(_ stream: Int64) throws(StoreError) -> Bool {
        waitsForPurge.bind(1, stream)
        defer { waitsForPurge.reset() }
        return try waitsForPurge.step()
    }

    private func purge(_ stream: Int64, below: Int64) -> String {
        ReferenceVerification.statement(
            "INSERT INTO purge (through, stream, below) VALUES (0, \(stream), \(below))", files)
    }

    /// What a fork that can be read has from its ancestors.
    private func verifyInherited(_ state: StreamState, _ tell: (String) -> Void) throws(StoreError) {
        guard state.fork != nil, !state.softDeleted, state.earliest < state.basePosition else { return }
        lineage.bind(1, state.id)
        guard try lineage.step() else { return }
        let parts = Lineage(bytes: lineage.blob(0)).parts
        lineage.reset()
        var position = state.earliest
        for part in parts where part.end > position {
            let range = position..<part.end
            let held = holdings[part.stream] ?? []
            if !held.contains(where: {
                $0.lowerBound <= range.lowerBound && $0.upperBound >= range.upperBound
            }) {
                tell(
                    "lacks positions of \(range.lowerBound) to \(range.upperBound), inherited from stream \(part.stream)"
                )
            }
            position = part.end
        }
        if position < state.basePosition {
            tell("lacks positions \(position) to \(state.basePosition), inherited from nobody")
        }
    }

    /// How something does not follow on what comes before; nil: it does.
    private static func gap(_ end: Int64, _ start: Int64, isFirst: Bool) -> String? {
        if start == end { return nil }
        if start < end { return "overlaps what comes before" }
        return isFirst
            ? "is the first, though the stream begins at position \(end)"
            : "comes behind a gap from position \(end)"
    }

    /// How the row of a segment contradicts itself; nil: it doesn't. Where the messages of a JSON stream end is seen when
    /// its file is read.
    private func endsDamage(of segment: Segment, isJSON: Bool) throws(StoreError) -> String? {
        let units = segment.end - segment.start
        if isJSON { return units == segment.appends ? nil : MessageEnds.unfit }
        let ends = try segments.storedEnds(of: segment).offsets
        let fits =
            units == segment.bytes && Int64(ends.count) == segment.appends
            && ends.last.map { Int64($0) } == units
            && zip(ends, ends.dropFirst()).allSatisfy { $0 < $1 }
        return fits ? nil : MessageEnds.unfit
    }

    /// How a record contradicts itself; nil: it doesn't.
    private static func recordDamage(_ record: SQLiteStatement, isJSON: Bool) -> String? {
        let units = Int(record.int(1))
        let size = record.blob(3).count
        guard isJSON else { return units == size ? nil : "has \(size) bytes instead of \(units)" }
        let boundaries = record.blob(2)
        var ends = stride(from: 0, to: boundaries.count - 3, by: 4).map {
            Int(UInt32(littleEndian: boundaries.loadUnaligned(fromByteOffset: $0, as: UInt32.self)))
        }
        if ends.isEmpty { ends = [size] }
        guard boundaries.count % 4 == 0, ends.count == units else { return MessageEnds.unfit }
        return MessageEnds.damage(
            [UInt8(ascii: "[")] + record.blob(3) + [UInt8(ascii: "]")], ends.map { $0 + 1 })
    }
}
