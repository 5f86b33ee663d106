import Glibc

/// Segments as files of one folder, which nginx may read.
public final class SegmentFolder: SegmentStorage {
    private let path: String

    /// - Parameter path: the folder; it is made when the first segment comes.
    public init(path: String) { self.path = path }

    /// The path of the file.
    public func location(_ key: String) -> String { "\(path)/\(key)" }

    /// Writes a file durably.
    public func put(_ key: String, _ content: [UInt8]) throws(StoreError) {
        let file = location(key)
        let folder = DurableFile.folder(of: file)
        if !DurableFile.exists(folder) { try DurableFile.makeFolder(folder) }
        try DurableFile.write(content, to: file) { step in
            switch step {
            case .written: TestPoint.segmentWritten.reached()
            case .synced: TestPoint.segmentSynced.reached()
            case .renamed: TestPoint.segmentRenamed.reached()
            }
        }
    }

    /// Reads part of a file.
    public func read(_ key: String, _ range: Range<Int>) throws(StoreError) -> [UInt8] {
        let file = location(key)
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SegmentFolder.readError("open \(file)") }
        defer { close(descriptor) }
        var failure: StoreError?
        let content = [UInt8](unsafeUninitializedCapacity: range.count) { buffer, filled in
            while filled < range.count {
                let count = pread(
                    descriptor, buffer.baseAddress.map { $0 + filled }, range.count - filled,
                    range.lowerBound + filled)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else {
                    failure =
                        count < 0
                        ? SegmentFolder.readError("read \(file)")
                        : StoreError(kind: .corrupt, "\(file) is shorter than it should be")
                    return
                }
                filled += count
            }
        }
        if let failure { throw failure }
        return content
    }

    /// Removes a file; the folder is not synced: what comes back after a crash is removed as an orphan.
    public func delete(_ key: String) throws(StoreError) {
        let file = location(key)
        guard unlink(file) == 0 || errno == ENOENT else { throw DurableFile.error("remove \(file)") }
    }

    /// Goes through all files.
    public func list(
        _ body: (_ key: String, _ isWhole: Bool) throws(StoreError) -> Bool
    ) throws(StoreError) {
        for shard in try DurableFile.names(in: path) {
            guard DurableFile.isFolder("\(path)/\(shard)") else {
                guard try body(shard, true) else { return }
                continue
            }
            for name in try DurableFile.names(in: "\(path)/\(shard)") {
                let isWhole = !name.hasSuffix(DurableFile.unfinished)
                guard try body("\(shard)/\(name)", isWhole) else { return }
            }
        }
    }

    /// Size, inode and change time; nil for what is no file.
    public func fingerprint(_ key: String) -> SegmentFingerprint? {
        var status = stat()
        guard stat(location(key), &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return SegmentFingerprint(
            size: Int64(status.st_size), file: UInt64(status.st_ino), modified: Int64(status.st_mtim.tv_sec),
            changed: Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec))
    }

    /// What can't be read is as good as damaged: it is for `verify` to say more.
    private static func readError(_ operation: String) -> StoreError {
        StoreError(kind: .corrupt, "\(operation): \(String(cString: strerror(errno)))")
    }
}
