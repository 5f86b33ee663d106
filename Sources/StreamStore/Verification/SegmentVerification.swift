import StreamProtocol

/// Reads whole segments, and looks at whether their messages end where the log says.
struct SegmentVerification {
    private let files: StoreFiles
    private let rowOf: SQLiteStatement

    init(_ log: SQLiteConnection, _ files: StoreFiles) throws(StoreError) {
        self.files = files
        rowOf = try log.prepare(
            """
            SELECT name, content_type, ends FROM stream JOIN segment ON segment.stream = stream.id
            WHERE segment.id = ?1 AND segment.stream = ?2 AND segment.start = ?3 AND segment.end = ?4
            """)
    }

    /// What is wrong with a segment; nil: nothing.
    ///
    /// - Parameter finding: makes a finding of what is wrong with the file.
    func verify(_ segment: Segment, finding: (String) -> Finding) throws(StoreError) -> Finding? {
        guard let (stream, ends) = try row(of: segment) else {
            return try files.segments.damage(of: segment).map(finding)
        }
        var found: Finding?
        guard let content = try files.segments.readWhole(segment, { found = finding($0) }) else {
            return found
        }
        return MessageEnds.damage(content, ends.map { Int($0) }).map { damage in
            Finding(stream: stream, "segment \(segment.key) \(damage)")
        }
    }

    /// The stream's name, and where the messages end; nil when it is no JSON stream, or when the segment was merged or given
    /// up since the log was looked at.
    private func row(of segment: Segment) throws(StoreError) -> (String, [UInt32])? {
        rowOf.bind(1, segment.id)
        // The id may be another segment's by now.
        rowOf.bind(2, segment.stream)
        rowOf.bind(3, segment.start)
        rowOf.bind(4, segment.end)
        guard try rowOf.step() else { return nil }
        defer { rowOf.reset() }
        guard MediaType(contentType: rowOf.text(1)).isJSON else { return nil }
        return (rowOf.text(0), SegmentEnds(bytes: rowOf.blob(2)).offsets)
    }
}

/// Where the messages of a JSON array end.
enum MessageEnds {
    static let unfit = "has message ends that do not fit"

    /// Whether an array is not just the messages that end in some places; nil: it is.
    static func damage(_ array: [UInt8], _ ends: [Int]) -> String? {
        guard array.first == UInt8(ascii: "["), array.last == UInt8(ascii: "]"), ends.last == array.count - 1
        else {
            return unfit
        }
        var start = 1
        for end in ends {
            // One by one: as elements of an array they may be nested one level deeper than a body.
            guard start < end, end < array.count, JSONMessages(body: Array(array[start..<end])) != nil,
                array[end] == UInt8(ascii: ",") || end == array.count - 1
            else { return unfit }
            start = end + 1
        }
        return nil
    }
}
