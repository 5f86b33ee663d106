import Glibc

/// Files that are there whole, or not at all, whatever happens meanwhile.
enum DurableFile {
    /// Added to the name of a file that is being written.
    static let unfinished = ".part"

    /// Writes a file with a temporary name, syncs it, renames it, and syncs its folder (fsync(2), rename(2)).
    ///
    /// - Parameter step: is told of the steps that are done.
    static func write(
        _ content: [UInt8], to path: String, step: (Step) -> Void = { _ in }
    ) throws(StoreError) {
        let partial = path + unfinished
        let descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw error("create \(partial)") }
        do throws(StoreError) {
            defer { close(descriptor) }
            try write(content[...], to: descriptor, partial)
            step(.written)
            guard fsync(descriptor) == 0 else { throw error("fsync \(partial)") }
        } catch {
            unlink(partial)
            throw error
        }
        step(.synced)
        try rename(partial, to: path) { step(.renamed) }
    }

    /// The steps of `write`.
    enum Step {
        case written, synced, renamed
    }

    /// Renames a file that is synced already, and syncs its folder.
    static func rename(_ old: String, to new: String, renamed: () -> Void = {}) throws(StoreError) {
        guard Glibc.rename(old, new) == 0 else { throw error("rename \(old)") }
        renamed()
        try sync(folder(of: new))
    }

    /// Appends all bytes at the descriptor's position.
    static func write(_ content: ArraySlice<UInt8>, to descriptor: Int32, _ name: String) throws(StoreError) {
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

    /// Reads a file piece by piece.
    static func read(
        _ path: String, block: Int = 1 << 20, _ body: (ArraySlice<UInt8>) throws(StoreError) -> Void
    ) throws(StoreError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw error("open \(path)") }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: block)
        while true {
            let count = Glibc.read(descriptor, &buffer, block)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw error("read \(path)") }
            if count == 0 { return }
            try body(buffer[..<count])
        }
    }

    /// A renamed or new file is durable once its folder is (fsync(2)).
    static func sync(_ path: String) throws(StoreError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw error("open \(path)") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw error("fsync \(path)") }
    }

    /// Makes a folder and those above it, mode 0750.
    static func makeFolder(_ path: String) throws(StoreError) {
        if mkdir(path, 0o750) == 0 { return try sync(folder(of: path)) }
        let code = errno
        if code == EEXIST {
            if isFolder(path) { return }
            throw StoreError(kind: .occupied, "\(path) is there and is no folder")
        }
        let parent = folder(of: path)
        guard code == ENOENT, parent != path else { throw error("create \(path)", code) }
        try makeFolder(parent)
        try makeFolder(path)
    }

    /// The names in a folder; none when it is missing.
    static func names(in folder: String) throws(StoreError) -> [String] {
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

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    static func isFile(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    /// Everything before the last slash.
    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Names a failed system call.
    static func error(_ operation: String, _ code: Int32 = errno) -> StoreError {
        let kind: StoreError.Kind = [ENOSPC, EDQUOT, EFBIG].contains(code) ? .full : .failed
        return StoreError(kind: kind, "\(operation): \(String(cString: strerror(code)))")
    }
}
