/// Where segments lie: immutable objects under keys. The local folder is the one implementation now; one over an object
/// store needs nothing else.
public protocol SegmentStorage: AnyObject, Sendable {
    /// Stores an object, durably and whole or not at all.
    func put(_ key: String, _ content: [UInt8]) throws(StoreError)
    /// Reads part of an object.
    ///
    /// - Throws: `corrupt` when it is missing or too short.
    func read(_ key: String, _ range: Range<Int>) throws(StoreError) -> [UInt8]
    /// Removes an object; one that is missing is none to remove.
    func delete(_ key: String) throws(StoreError)
    /// Goes through the keys of all objects, in no order, and through what a cut-off `put` has left, until `body`
    /// says false.
    func list(_ body: (_ key: String, _ isWhole: Bool) throws(StoreError) -> Bool) throws(StoreError)
    /// Something that changes whenever an object does; nil when it is missing.
    func fingerprint(_ key: String) -> SegmentFingerprint?
    /// What the operator knows an object by: the path of its file.
    func location(_ key: String) -> String
}

/// Tells one state of an object from another without reading it.
public struct SegmentFingerprint: Hashable, Sendable {
    /// Bytes.
    public var size: Int64
    /// Device-wide number of the file.
    var file: UInt64
    /// Seconds since 1970 of the last change of content.
    var modified: Int64
    /// Nanoseconds since 1970 of the last change of content or metadata; nobody can set it back (inode(7)).
    var changed: Int64
}

/// Content addressed by keys that say what it is.
enum SegmentKey {
    /// `<shard>/<stream>-<start>-<end>`: content and key belong together for ever, so writing one again after a crash
    /// changes nothing.
    static func text(stream: Int64, start: Int64, end: Int64) -> String {
        "\(shard(stream))/\(stream)-\(start)-\(end)"
    }

    /// 256 folders, so that none holds too many files.
    private static func shard(_ stream: Int64) -> String {
        let digits = String(stream & 0xFF, radix: 16)
        return digits.utf8.count < 2 ? "0" + digits : digits
    }

    /// The parts of a key; nil for any other text.
    static func parts(_ key: String) -> (stream: Int64, start: Int64, end: Int64)? {
        guard let slash = key.firstIndex(of: "/") else { return nil }
        let numbers = key[key.index(after: slash)...].split(separator: "-", omittingEmptySubsequences: false)
            .map { Int64($0) }
        guard numbers.count == 3, let stream = numbers[0], let start = numbers[1], let end = numbers[2],
            text(stream: stream, start: start, end: end) == key
        else { return nil }
        return (stream, start, end)
    }
}
