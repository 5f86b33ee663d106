import StreamProtocol

/// Where a fork comes from, as its creation said (PROTOCOL section 11).
public struct ForkLink: Equatable, Sendable {
    /// Id of the source.
    public var source: Int64
    /// Name of the source at that time.
    public var sourceName: String
    /// `Stream-Fork-Offset`, or the tail that it defaulted to.
    public var offset: String
    /// `Stream-Fork-Sub-Offset`, 0 when absent.
    public var subOffset: Int64
}

/// What a creation asks for when it makes a fork.
public struct ForkRequest: Equatable, Sendable {
    /// The source; nil when the path names no stream (404).
    public var source: StreamName?
    /// `Stream-Fork-Offset`; nil: the source's tail.
    public var offset: Offset?
    /// `Stream-Fork-Sub-Offset`, 0 when absent.
    public var subOffset: Int64
    /// Whether whoever asks may only read the source if anyone may.
    public var mustBePublic: Bool

    /// Collects the headers.
    public init(source: StreamName?, offset: Offset?, subOffset: Int64, mustBePublic: Bool = false) {
        self.mustBePublic = mustBePublic
        self.source = source
        self.offset = offset
        self.subOffset = subOffset
    }
}

/// Which stream's records hold which part of what a fork has inherited.
///
/// It is written down whole with each fork, so that a read goes straight to the right ancestor however
/// long the chain is. An ancestor that adds nothing has no part.
struct Lineage {
    /// Records of `stream` hold the positions from the end of the part before up to `end`.
    struct Part: Equatable {
        var stream: Int64
        var end: Int64
    }

    var parts: [Part] = []

    /// Nothing: what a stream that is no fork has inherited.
    init() {}

    /// What a fork of a stream at `position` inherits.
    ///
    /// - Parameters:
    ///   - inherited: the lineage of the source.
    ///   - base: where the source's own records begin.
    init(of inherited: Lineage, source: Int64, base: Int64, forkedAt position: Int64) {
        for part in inherited.parts {
            guard (parts.last?.end ?? 0) < position else { return }
            parts.append(Part(stream: part.stream, end: min(part.end, position)))
        }
        if position > base { parts.append(Part(stream: source, end: position)) }
    }

    /// Reads the stored form: stream and end, 8 bytes each, little-endian, one part behind the other.
    init(bytes: UnsafeRawBufferPointer) {
        for offset in stride(from: 0, to: bytes.count - 15, by: 16) {
            let numbers = (0...1).map {
                Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 8 * $0, as: Int64.self))
            }
            parts.append(Part(stream: numbers[0], end: numbers[1]))
        }
    }

    /// The stored form.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(parts.count * 16)
        for part in parts {
            for number in [part.stream, part.end] {
                withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
            }
        }
        return bytes
    }

    /// The first part that holds something behind a position.
    func firstPart(behind position: Int64) -> Int {
        var low = 0
        var high = parts.count
        while low < high {
            let middle = (low + high) / 2
            if parts[middle].end <= position { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
