import Glibc

/// Segments as files of one folder, which nginx may read.
public final class SegmentFolder: SegmentStorage {
    private let path: String

    /// Added to the name of a file that is being written.
    private static let unfinished = ".part"

    /// - Parameter path: the folder; it is made when the first segment comes.
    public init(path: String) { self.path = path }

    /// The path of the file.
    public func location(_ key: String) -> String { "\(path)/\(key)" }

    /// Writes a file with a temporary name, syncs it, renames it, and syncs its folder.
    public func put(_ key: String, _ content: [UInt8]) throws(StoreError) {
        let final = location(key)
        let folder = SegmentFolder.parent(of: final)
        try make(folder)
        let partial = final + SegmentFolder.unfinished
        let descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw SegmentFolder.error("create \(partial)") }
        do throws(StoreError) {
            defer { close(descriptor) }
            try SegmentFolder.write(content, to: descriptor, partial)
            TestPoint.segmentWritten.reached()
            guard fsync(descriptor) == 0 else { throw SegmentFolder.error("fsync \(partial)") }
        } catch {
            unlink(partial)
            throw error
        }
        TestPoint.segmentSynced.reached()
        guard rename(partial, final) == 0 else { throw SegmentFolder.error("rename \(partial)") }
        TestPoint.segmentRenamed.reached()
        try SegmentFolder.sync(folder)
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
        guard unlink(file) == 0 || errno == ENOENT else { throw SegmentFolder.error("remove \(file)") }
    }

    /// Goes through all files.
    public func list(
        _ body: (_ key: String, _ isWhole: Bool) throws(StoreError) -> Bool
    ) throws(StoreError) {
        for shard in try SegmentFolder.names(in: path) {
            guard SegmentFolder.isFolder("\(path)/\(shard)") else { continue }
            for name in try SegmentFolder.names(in: "\(path)/\(shard)") {
                let isWhole = !name.hasSuffix(SegmentFolder.unfinished)
                guard try body("\(shard)/\(name)", isWhole) else { return }
            }
        }
    }

    /// Size, inode and change time; nil for what is no file.
    public func fingerprint(_ key: String) -> SegmentFingerprint? {
        var status = stat()
        guard stat(location(key), &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return SegmentFingerprint(
            size: Int64(status.st_size), file: UInt64(status.st_ino),
            changed: Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec))
    }

    // MARK: Files

    private func make(_ folder: String) throws(StoreError) {
        if access(folder, F_OK) == 0 { return }
        for folder in [path, folder] {
            if mkdir(folder, 0o750) == 0 {
                try SegmentFolder.sync(SegmentFolder.parent(of: folder))
            } else if errno != EEXIST {
                throw SegmentFolder.error("create \(folder)")
            }
        }
    }

    private static func write(_ content: [UInt8], to descriptor: Int32, _ name: String) throws(StoreError) {
        var done = 0
        while done < content.count {
            let count = content.withUnsafeBytes { bytes in
                Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw error("write \(name)") }
            done += count
        }
    }

    /// A renamed or new file is durable once its folder is (fsync(2)).
    private static func sync(_ folder: String) throws(StoreError) {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw error("open \(folder)") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw error("fsync \(folder)") }
    }

    private static func names(in folder: String) throws(StoreError) -> [String] {
        guard let directory = opendir(folder) else {
            if errno == ENOENT { return [] }
            throw error("list \(folder)")
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    private static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func parent(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    }

    private static func error(_ operation: String) -> StoreError {
        let code = errno
        let kind: StoreError.Kind = [ENOSPC, EDQUOT, EFBIG].contains(code) ? .full : .failed
        return StoreError(kind: kind, "\(operation): \(String(cString: strerror(code)))")
    }

    /// What can't be read is as good as damaged: it is for `verify` to say more.
    private static func readError(_ operation: String) -> StoreError {
        StoreError(kind: .corrupt, "\(operation): \(String(cString: strerror(errno)))")
    }
}
