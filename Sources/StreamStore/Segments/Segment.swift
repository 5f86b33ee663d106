import CSQLite

/// What is known of one cold segment: a run of a stream's content in an immutable file, byte for byte as it goes out.
///
/// The file of a JSON stream is one complete array, that of any other its bytes.
struct Segment: Equatable, Sendable {
    /// Row.
    var id: Int64
    /// Stream.
    var stream: Int64
    /// Position before the first unit.
    var start: Int64
    /// Position after the last unit.
    var end: Int64
    /// Size of the file.
    var bytes: Int64
    /// XXH3-128 of the file.
    var checksum: [UInt8]
    /// How many rounds of merging made it.
    var tier: Int64
    /// Messages of a JSON stream, appends of any other.
    var appends: Int64
    /// A time, in milliseconds since 1970, at which its newest content was there already.
    var newest: Int64

    /// Where the content lies.
    var key: String { SegmentKey.text(stream: stream, start: start, end: end) }

    static let columns = "id, stream, start, end, bytes, checksum, tier, appends, newest"

    /// Reads the columns named by `columns`.
    init(row: SQLiteStatement) {
        id = row.int(0)
        stream = row.int(1)
        start = row.int(2)
        end = row.int(3)
        bytes = row.int(4)
        checksum = Array(row.blob(5))
        tier = row.int(6)
        appends = row.int(7)
        newest = row.int(8)
    }

    init(
        stream: Int64, start: Int64, end: Int64, bytes: Int64, checksum: [UInt8], tier: Int64, appends: Int64,
        newest: Int64
    ) {
        id = 0
        self.appends = appends
        self.newest = newest
        self.stream = stream
        self.start = start
        self.end = end
        self.bytes = bytes
        self.checksum = checksum
        self.tier = tier
    }
}

/// Where, in a segment's file, each message ends, or in a byte stream each append.
///
/// Stored as the differences, seven bits to a byte, lowest first, the eighth set while more follow: one or two bytes a
/// message.
struct SegmentEnds: Equatable, Sendable {
    var offsets: [UInt32]

    init(_ offsets: [UInt32]) { self.offsets = offsets }

    init(bytes: UnsafeRawBufferPointer) {
        offsets = []
        offsets.reserveCapacity(bytes.count)
        var last: UInt32 = 0
        var difference: UInt32 = 0
        var shift: UInt32 = 0
        for byte in bytes {
            difference |= UInt32(byte & 0x7F) &<< shift
            if byte & 0x80 != 0 {
                shift += 7
            } else {
                last &+= difference
                offsets.append(last)
                difference = 0
                shift = 0
            }
        }
    }

    /// The stored form.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(offsets.count * 2)
        var last: UInt32 = 0
        for offset in offsets {
            var difference = offset &- last
            last = offset
            while difference >= 0x80 {
                bytes.append(UInt8(truncatingIfNeeded: difference) | 0x80)
                difference >>= 7
            }
            bytes.append(UInt8(truncatingIfNeeded: difference))
        }
        return bytes
    }

    /// The first index whose offset is greater than `offset`.
    func first(above offset: Int) -> Int {
        var low = 0
        var high = offsets.count
        while low < high {
            let middle = (low + high) / 2
            if Int(offsets[middle]) <= offset { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// Finds the segments of streams, over one connection.
final class SegmentIndex {
    private let last: SQLiteStatement
    private let at: SQLiteStatement
    private let endsByID: SQLiteStatement
    private let newest: SQLiteStatement

    init(_ connection: SQLiteConnection) throws(StoreError) {
        last = try connection.prepare("SELECT end FROM segment WHERE stream = ?1 ORDER BY start DESC LIMIT 1")
        at = try connection.prepare(
            """
            SELECT \(Segment.columns) FROM segment
            WHERE stream = ?1 AND start <= ?2 ORDER BY start DESC LIMIT 1
            """)
        endsByID = try connection.prepare("SELECT ends FROM segment WHERE id = ?1")
        newest = try connection.prepare(
            "SELECT \(Segment.columns) FROM segment WHERE stream = ?1 ORDER BY start DESC LIMIT ?2")
    }

    /// The position after a stream's last segment; nil when it has none.
    func end(of stream: Int64) throws(StoreError) -> Int64? {
        last.bind(1, stream)
        guard try last.step() else { return nil }
        defer { last.reset() }
        return last.int(0)
    }

    /// The segment that holds the unit behind a position.
    func segment(of stream: Int64, at position: Int64) throws(StoreError) -> Segment? {
        at.bind(1, stream)
        at.bind(2, position)
        guard try at.step() else { return nil }
        defer { at.reset() }
        let segment = Segment(row: at)
        return position < segment.end ? segment : nil
    }

    /// Where the units of a segment end.
    ///
    /// - Throws: `corrupt` when that can't be.
    func ends(of segment: Segment) throws(StoreError) -> SegmentEnds {
        let ends = try storedEnds(of: segment)
        var last: UInt32 = 0
        let isRising = ends.offsets.allSatisfy { end in
            defer { last = end }
            return end > last
        }
        guard isRising, Int64(ends.offsets.count) == segment.appends, Int64(last) <= segment.bytes else {
            throw StoreError(
                kind: .corrupt,
                "the row of segment \(segment.key) has message ends that do not fit: `durable-streams verify` says more"
            )
        }
        return ends
    }

    /// Where the units of a segment end, as its row says.
    func storedEnds(of segment: Segment) throws(StoreError) -> SegmentEnds {
        endsByID.bind(1, segment.id)
        guard try endsByID.step() else {
            throw StoreError(kind: .failed, "segment \(segment.key) has left its row")
        }
        defer { endsByID.reset() }
        return SegmentEnds(bytes: endsByID.blob(0))
    }

    /// The last segments of a stream, newest first.
    func newest(of stream: Int64, limit: Int) throws(StoreError) -> [Segment] {
        newest.bind(1, stream)
        newest.bind(2, Int64(limit))
        var found: [Segment] = []
        while try newest.step() { found.append(Segment(row: newest)) }
        return found
    }
}
