import CLinux
import Glibc

/// Numbers that processes share: a file that all have mapped, or, when there is none to be had, memory of one process.
///
/// `@unchecked Sendable`: the numbers are only reached by atomic instructions.
final class SharedWords: @unchecked Sendable {
    let words: UnsafeMutablePointer<UInt64>
    /// Whether others see them.
    let isShared: Bool
    /// Kept for the lock; -1 without a file.
    private let descriptor: Int32

    /// Maps the file, making it anew when it is missing, cut short or of another layout.
    init(path: String) {
        if let found = SharedWords.open(path) {
            words = found.words
            descriptor = found.descriptor
            isShared = true
        } else {
            words = .allocate(capacity: TelemetryLayout.words)
            words.initialize(repeating: 0, count: TelemetryLayout.words)
            descriptor = -1
            isShared = false
        }
    }

    deinit {
        if descriptor >= 0 {
            munmap(words, TelemetryLayout.bytes)
            close(descriptor)
        } else {
            words.deallocate()
        }
    }

    /// Runs `body` while no other process does the same.
    func locked(_ body: () -> Void) {
        if descriptor >= 0 { while flock(descriptor, LOCK_EX) != 0, errno == EINTR {} }
        body()
        if descriptor >= 0 { flock(descriptor, LOCK_UN) }
    }

    /// A copy of the numbers in a file; nil when it is missing or of another layout.
    static func copy(of path: String) -> [UInt64]? {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard isUsable(descriptor) else { return nil }
        var words = [UInt64](repeating: 0, count: TelemetryLayout.words)
        let count = words.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
        return count == TelemetryLayout.bytes && isCurrent(words[0], words[1]) ? words : nil
    }

    /// A copy of the present numbers.
    func copy() -> [UInt64] { (0..<TelemetryLayout.words).map { ds_count_load(words + $0) } }

    private static func isCurrent(_ magic: UInt64, _ fingerprint: UInt64) -> Bool {
        magic == TelemetryLayout.magic && fingerprint == TelemetryLayout.fingerprint
    }

    private static func open(
        _ path: String
    ) -> (words: UnsafeMutablePointer<UInt64>, descriptor: Int32)? {
        // Somebody else may put a new file in place at the same time; a few times at most.
        for _ in 0..<8 {
            let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
            guard descriptor >= 0 else { return nil }
            while flock(descriptor, LOCK_EX) != 0, errno == EINTR {}
            defer { flock(descriptor, LOCK_UN) }
            guard isAt(path, descriptor) else {
                close(descriptor)
                continue
            }
            if isUsable(descriptor) {
                if let words = map(descriptor) { return (words, descriptor) }
                close(descriptor)
                return nil
            }
            // An older generation of processes may go on counting in what was there, so it is replaced, not changed.
            let isMade = replace(path)
            close(descriptor)
            guard isMade else { return nil }
        }
        return nil
    }

    private static func isAt(_ path: String, _ descriptor: Int32) -> Bool {
        var (opened, named) = (stat(), stat())
        return fstat(descriptor, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino
            && opened.st_dev == named.st_dev
    }

    private static func isUsable(_ descriptor: Int32) -> Bool {
        var status = stat()
        var head: (UInt64, UInt64) = (0, 0)
        return fstat(descriptor, &status) == 0 && status.st_size == TelemetryLayout.bytes
            && withUnsafeMutableBytes(of: &head) { pread(descriptor, $0.baseAddress, 16, 0) } == 16
            && isCurrent(head.0, head.1)
    }

    /// Puts a new file in place of what is at `path`. Its numbers are written rather than left a hole: on a full disk the
    /// first store into a hole would be a SIGBUS.
    private static func replace(_ path: String) -> Bool {
        let new = path + ".new"
        let descriptor = Glibc.open(new, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var words = [UInt64](repeating: 0, count: TelemetryLayout.words)
        words[0] = TelemetryLayout.magic
        words[1] = TelemetryLayout.fingerprint
        words[2] = UInt64(ProcessFacts.milliseconds)
        let count = words.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        guard count == TelemetryLayout.bytes, rename(new, path) == 0 else {
            unlink(new)
            return false
        }
        return true
    }

    private static func map(_ descriptor: Int32) -> UnsafeMutablePointer<UInt64>? {
        let mapped = mmap(nil, TelemetryLayout.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let mapped, mapped != MAP_FAILED else { return nil }
        return mapped.assumingMemoryBound(to: UInt64.self)
    }
}
