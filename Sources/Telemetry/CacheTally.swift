import Glibc

/// What nginx's cache did: nginx answers from it without asking any process of ours, so it writes a letter for each read
/// that the cache may answer into a file, which is read and emptied here.
///
/// The file stays small: nginx appends some bytes a second for each thousand reads, and each look empties it. What nginx
/// appends between the last read and the emptying is lost, some microseconds of each look; so is what nginx still holds
/// in its buffers, up to a second of it, when it is killed.
public final class CacheTally {
    private let descriptor: Int32
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    /// Opens the file, or makes it; without one nothing is counted.
    ///
    /// nginx's master gives its log files to the user of its workers when it opens them anew (SIGUSR1, as logrotate has it
    /// done), so the group that it shares with this server may write too. What can't be opened all the same is put out of
    /// the way: nginx comes to the new file with its next reload.
    public init(path: String) {
        var opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o660)
        if opened < 0, errno == EACCES || errno == EPERM || errno == ELOOP, unlink(path) == 0 {
            opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o660)
        }
        descriptor = opened
        // Only for its owner, who then has made it; whatever the umask.
        if descriptor >= 0 { fchmod(descriptor, 0o660) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Adds what has come since the last time, and empties the file.
    public func collect(into telemetry: Telemetry) {
        guard descriptor >= 0 else { return }
        var counts = [Int](repeating: 0, count: 256)
        var offset: off_t = 0
        while true {
            let count = buffer.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, offset) }
            guard count > 0 else { break }
            for byte in buffer[..<count] { counts[Int(byte)] += 1 }
            offset += off_t(count)
        }
        guard offset > 0, ftruncate(descriptor, 0) == 0 else { return }
        for (letter, counter) in CacheTally.letters { telemetry.add(counter, counts[Int(letter)]) }
    }

    /// As nginx/durable-streams-http.conf has them.
    private static let letters: [(UInt8, Counter)] = [
        (UInt8(ascii: "H"), .cacheHits), (UInt8(ascii: "M"), .cacheMisses),
        (UInt8(ascii: "E"), .cacheExpired),
        (UInt8(ascii: "R"), .cacheRevalidated), (UInt8(ascii: "S"), .cacheStale),
        (UInt8(ascii: "U"), .cacheUpdating),
    ]
}
