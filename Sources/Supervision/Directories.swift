import Glibc
import ServerSettings

/// Creates the directories of a server with the modes and groups that nginx needs.
enum Directories {
    /// Creates `path` and missing parents with mode 0750.
    ///
    /// - Returns: true when `path` did not exist before.
    @discardableResult
    static func create(_ path: String) throws(SupervisionError) -> Bool {
        if mkdir(path, 0o750) == 0 { return true }
        let code = errno
        if code == EEXIST {
            guard try status(path).isDirectory else {
                throw SupervisionError(.system, "\(path) exists and is not a directory")
            }
            return false
        }
        let parent = Executables.directory(of: path)
        guard code == ENOENT, parent != path else { throw .system("creating directory \(path)", code: code) }
        try create(parent)
        return try create(path)
    }

    /// Creates nginx's directories and the run directory. With `group`, that group may enter them, and sockets
    /// made in the run directory inherit it by the setgid bit.
    static func prepare(_ layout: DataDirectoryLayout, group: gid_t?) throws(SupervisionError) {
        for path in [layout.nginxDirectory, layout.nginxDirectory + "/temp", layout.cacheDirectory] {
            try create(path)
            if path != layout.cacheDirectory, let group { try setGroup(path, group, mode: 0o750) }
        }
        // Made by the worker, folders inherit the group by the setgid bit, and files too.
        try create(layout.segmentsDirectory)
        if let group { try shareSegments(layout.segmentsDirectory, group) }
        let run = layout.runDirectory
        if run.hasPrefix(layout.dataDirectory + "/") {
            try create(run)
        } else {
            try createPrivate(run)
        }
        if let group { try setGroup(run, group, mode: 0o2750) }
    }

    /// Lets the group read the segments; those of a data directory that was restored or copied too.
    private static func shareSegments(_ path: String, _ group: gid_t) throws(SupervisionError) {
        // The folder itself comes last: it tells that all below it is done.
        guard try status(path).group != group else { return try setGroup(path, group, mode: 0o2750) }
        for shard in try names(in: path).map({ "\(path)/\($0)" }) {
            guard try status(shard).isDirectory else { continue }
            try setGroup(shard, group, mode: 0o2750)
            for file in try names(in: shard) { try setGroup("\(shard)/\(file)", group, mode: 0o640) }
        }
        try setGroup(path, group, mode: 0o2750)
    }

    /// What a directory holds.
    static func names(in path: String) throws(SupervisionError) -> [String] {
        guard let stream = opendir(path) else { throw .system("reading \(path)", code: errno) }
        defer { closedir(stream) }
        return names(in: stream)
    }

    /// What a directory holds from where it was read to.
    static func names(in stream: OpaquePointer) -> [String] {
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// A directory in a place where everyone may create names: one that somebody else made is refused.
    static func createPrivate(_ path: String) throws(SupervisionError) {
        guard mkdir(path, 0o700) != 0 else { return }
        guard errno == EEXIST else { throw .system("creating directory \(path)", code: errno) }
        let found = try status(path)
        guard found.isDirectory, found.owner == geteuid(), found.mode & 0o022 == 0 else {
            throw SupervisionError(
                .system, "\(path) must be a directory of this user that nobody else can write to; remove it")
        }
    }

    static func setGroup(_ path: String, _ group: gid_t, mode: mode_t) throws(SupervisionError) {
        // chown clears the setgid bit, so the mode comes second.
        guard chown(path, uid_t.max, group) == 0 else {
            throw .system("changing the group of \(path)", code: errno)
        }
        guard chmod(path, mode) == 0 else { throw .system("changing the mode of \(path)", code: errno) }
    }

    struct Status {
        let mode: mode_t
        let owner: uid_t
        let group: gid_t
        var isDirectory: Bool { mode & S_IFMT == S_IFDIR }
        var isRegular: Bool { mode & S_IFMT == S_IFREG }
    }

    /// What the path itself is; a symbolic link is not followed.
    static func status(_ path: String, followLinks: Bool = false) throws(SupervisionError) -> Status {
        var result = stat()
        guard (followLinks ? stat(path, &result) : lstat(path, &result)) == 0 else {
            throw .system("looking at \(path)", code: errno)
        }
        return Status(mode: result.st_mode, owner: result.st_uid, group: result.st_gid)
    }
}
