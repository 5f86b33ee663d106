import CXXHash

/// XXH3 with 128 bits over a segment's bytes (https://github.com/Cyan4973/xxHash), as `xxhsum -H2` prints it: it tells
/// damage, not malice, at the speed of memory.
struct SegmentChecksum {
    private let state: OpaquePointer?

    /// Bytes of a checksum.
    static let length = 16

    private init() {
        state = XXH3_createState()
        XXH3_128bits_reset(state)
    }

    /// Computes the checksum of what `feed` hands over, piece by piece.
    static func of(
        _ feed: (_ take: (UnsafeRawBufferPointer) -> Void) throws(StoreError) -> Void
    ) throws(StoreError) -> [UInt8] {
        let checksum = SegmentChecksum()
        defer { XXH3_freeState(checksum.state) }
        try feed { bytes in _ = XXH3_128bits_update(checksum.state, bytes.baseAddress, bytes.count) }
        return canonical(XXH3_128bits_digest(checksum.state))
    }

    /// The checksum of bytes in memory.
    static func of(_ bytes: [UInt8]) -> [UInt8] {
        canonical(bytes.withUnsafeBytes { XXH3_128bits($0.baseAddress, $0.count) })
    }

    /// A checksum as `xxhsum` prints it.
    static func text(_ checksum: [UInt8]) -> String {
        let digits = Array("0123456789abcdef")
        return String(checksum.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    private static func canonical(_ hash: XXH128_hash_t) -> [UInt8] {
        var canonical = XXH128_canonical_t()
        XXH128_canonicalFromHash(&canonical, hash)
        return withUnsafeBytes(of: canonical) { Array($0) }
    }
}
