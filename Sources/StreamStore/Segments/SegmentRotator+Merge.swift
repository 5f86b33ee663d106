import StreamProtocol

/// What a merged segment may hold at most.
struct MergeLimits {
    /// Bytes.
    var bytes: Int64
    /// Messages, or appends.
    var appends: Int64
    /// Milliseconds between the newest content of its first and its last part.
    var span: Int64

    /// The limits for a stream of which a part is kept: cuts fall between segments, so none gets large beside that part.
    init(_ limits: SegmentLimits, _ retention: Retention) {
        func part(_ limit: Int64?) -> Int64 { limit.map { $0 / Retention.mergedPart } ?? .max }
        bytes = min(limits.bytes, part(retention.bytes))
        appends = part(retention.messages)
        span = retention.age.map { $0 * 1_000 / Retention.mergedPart } ?? .max
    }
}

extension SegmentRotator {
    /// Segments of one tier that are merged into one of the next, so that each byte is written once more per tier.
    private static let fanOut = 8

    /// A run of small segments, and the one that takes their place; nil when there is none.
    ///
    /// Eight of a tier make one of the next, or as many as fit into a segment.
    ///
    /// - Parameter defaults: the server's limits of retention.
    func merge(
        _ stream: Int64, _ defaults: Retention
    ) throws(StoreError) -> ([Segment], StoredSegment, [UInt8])? {
        try view { () throws(StoreError) in
            guard let state = try self.state(of: stream) else { return nil }
            // Beyond them, everything was looked at when it was new. What is given up stays apart.
            let newest = try self.segments.newest(of: stream, limit: 8 * SegmentRotator.fanOut)
                .filter { $0.start >= state.earliest }
            let limits = MergeLimits(self.limits, state.retention.limits(beside: defaults))
            guard let old = SegmentRotator.run(in: newest.reversed(), limits) else { return nil }
            return try self.join(old, isJSON: state.mediaType.isJSON)
        }
    }

    /// The oldest segments of the last run of equal tiers that is long enough, as many as fit.
    private static func run(in segments: [Segment], _ limits: MergeLimits) -> [Segment]? {
        var behind = segments.count
        while behind > 0 {
            let tier = segments[behind - 1].tier
            let first = segments[..<behind].lastIndex { $0.tier != tier }.map { $0 + 1 } ?? 0
            if behind - first >= fanOut {
                var run: [Segment] = []
                var bytes: Int64 = 0
                var appends: Int64 = 0
                for segment in segments[first..<behind].prefix(fanOut) {
                    bytes += segment.bytes
                    appends += segment.appends
                    guard bytes <= limits.bytes, appends <= limits.appends,
                        segment.newest - segments[first].newest <= limits.span
                    else { break }
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
        }
        let stored = SegmentRotator.describe(
            first.stream, first.start..<last.end, content, ends, tier: first.tier + 1,
            appends: old.reduce(0) { $0 + $1.appends }, newest: last.newest)
        return (old, stored, content)
    }
}
