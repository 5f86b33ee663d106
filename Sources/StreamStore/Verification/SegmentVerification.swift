import StreamProtocol

/// Reads whole segments, and looks at whether their messages end where the log says.
struct SegmentVerification {
    private let files: StoreFiles
    private let segments: SegmentIndex
    private let streamOf: SQLiteStatement

    init(_ log: SQLiteConnection, _ files: StoreFiles) throws(StoreError) {
        self.files = files
        segments = try SegmentIndex(log)
        streamOf = try log.prepare(
            """
            SELECT name, content_type FROM stream JOIN segment ON segment.stream = stream.id WHERE segment.id = ?1
            """)
    }

    /// What is wrong with a segment; nil: nothing.
    ///
    /// - Parameter finding: makes a finding of what is wrong with the file.
    func verify(_ segment: Segment, finding: (String) -> Finding) throws(StoreError) -> Finding? {
        streamOf.bind(1, segment.id)
        // It may have been merged or given up since the log was looked at.
        guard try streamOf.step() else { return try files.segments.damage(of: segment).map(finding) }
        let stream = streamOf.text(0)
        let isJSON = MediaType(contentType: streamOf.text(1)).isJSON
        streamOf.reset()
        guard isJSON else { return try files.segments.damage(of: segment).map(finding) }
        var found: Finding?
        guard let content = try files.segments.readWhole(segment, { found = finding($0) }) else {
            return found
        }
        return MessageEnds.damage(content, try segments.ends(of: segment).offsets.map { Int($0) }).map {
            damage in
            Finding(stream: stream, "segment \(segment.key) \(damage)")
        }
    }
}

/// Where the messages of a JSON array end.
enum MessageEnds {
    static let unfit = "has message ends that do not fit"

    /// Whether an array is not just the messages that end in some places; nil: it is.
    static func damage(_ array: [UInt8], _ ends: [Int]) -> String? {
        guard let messages = JSONMessages(body: array),
            array.dropFirst().dropLast().elementsEqual(messages.payload)
        else { return "is not JSON as it was stored" }
        // The array's opening bracket comes first.
        return messages.ends.elementsEqual(ends.lazy.map { $0 - 1 }) ? nil : unfit
    }
}
