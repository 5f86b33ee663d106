import Synchronization

/// Reads segments, and never gives wrong bytes: an object is checked as a whole before anything of it is used, and again
/// whenever it has changed since. One for all threads of a process.
public final class SegmentFiles: Sendable {
    /// Where the segments lie.
    public let storage: any SegmentStorage
    private let verified = Mutex<[String: SegmentFingerprint]>([:])

    /// About 10 MB; beyond it everything is checked once more.
    private static let verifiedLimit = 65_536
    /// Bytes that are checked at a time.
    private static let block = 256 << 10

    /// Reads from `storage`.
    public init(_ storage: any SegmentStorage) { self.storage = storage }

    /// Checks that a segment is as it was written.
    ///
    /// - Throws: `corrupt` with the path, and what to do.
    func check(_ segment: Segment) throws(StoreError) {
        let key = segment.key
        let found = storage.fingerprint(key)
        guard found == nil || verified.withLock({ $0[key] }) != found else { return }
        if let damage = try damage(of: segment) { throw damaged(segment, damage) }
        verified.withLock { known in
            if known.count >= SegmentFiles.verifiedLimit { known.removeAll(keepingCapacity: true) }
            known[key] = found
        }
    }

    /// What is wrong with a segment, read as a whole; nil: nothing.
    func damage(of segment: Segment) throws(StoreError) -> String? {
        if let damage = sizeDamage(of: segment) { return damage }
        return try checksum(of: segment) == segment.checksum ? nil : "has another checksum"
    }

    /// The whole content; nil when it is damaged, and then `report` hears how.
    func readWhole(_ segment: Segment, _ report: (String) -> Void) throws(StoreError) -> [UInt8]? {
        do throws(StoreError) {
            return try read(segment)
        } catch {
            guard error.kind == .corrupt else { throw error }
            report(try damage(of: segment) ?? "can't be read")
            return nil
        }
    }

    private func sizeDamage(of segment: Segment) -> String? {
        guard let found = storage.fingerprint(segment.key) else { return "is missing, or no file" }
        return found.size == segment.bytes ? nil : "has \(found.size) bytes instead of \(segment.bytes)"
    }

    /// Part of a segment's file.
    func read(_ segment: Segment, _ range: Range<Int>) throws(StoreError) -> [UInt8] {
        try check(segment)
        return try storage.read(segment.key, range)
    }

    /// The whole content.
    func read(_ segment: Segment) throws(StoreError) -> [UInt8] {
        if let damage = sizeDamage(of: segment) { throw damaged(segment, damage) }
        let content = try storage.read(segment.key, 0..<Int(segment.bytes))
        guard SegmentChecksum.of(content) == segment.checksum else {
            throw damaged(segment, "has another checksum")
        }
        return content
    }

    private func checksum(of segment: Segment) throws(StoreError) -> [UInt8] {
        let key = segment.key
        let size = Int(segment.bytes)
        return try SegmentChecksum.of { (take) throws(StoreError) in
            for start in stride(from: 0, to: size, by: SegmentFiles.block) {
                let part = try self.storage.read(key, start..<min(start + SegmentFiles.block, size))
                part.withUnsafeBytes(take)
            }
        }
    }

    private func damaged(_ segment: Segment, _ what: String) -> StoreError {
        StoreError(
            kind: .corrupt,
            "\(storage.location(segment.key)) \(what): put the file back from a backup (`xxhsum -H2` of the right "
                + "one is \(SegmentChecksum.text(segment.checksum))); `durable-streams verify` finds all such damage"
        )
    }
}
