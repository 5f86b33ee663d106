import Glibc
import ServerSettings

/// Small files for their owner alone, and files that others may read but not change. Links are never followed: a name that
/// somebody else made leads nowhere.
enum SecretFile {
    /// The longest that is read, in bytes.
    private static let longest = 512

    /// Reads a secret of one line, which is made first where there is none. Of several callers one makes it, and all get
    /// the same.
    ///
    /// - Parameters:
    ///   - name: what it is, for errors.
    ///   - isValid: whether a line is one; `content` says what it has to be.
    /// - Throws: `configuration` for a file that is none, or is open to others; `system` when it can't be made.
    static func loadOrCreate(
        _ path: String, name: String, content: String, isValid: ([UInt8]) -> Bool,
        make: () throws(SupervisionError) -> [UInt8]
    ) throws(SupervisionError) -> [UInt8] {
        if let found = try load(path, name: name, content: content, isValid: isValid) { return found }
        let partial = try write(try make() + [UInt8(ascii: "\n")], besides: path, mode: 0o600, group: nil)
        defer { unlink(partial) }
        // Unlike rename, link doesn't replace what somebody made meanwhile.
        if link(partial, path) != 0, errno != EEXIST { throw .system("creating \(path)", code: errno) }
        try syncDirectory(of: path)
        guard let made = try load(path, name: name, content: content, isValid: isValid) else {
            throw SupervisionError(.system, "\(name) \(path) went while it was being made")
        }
        return made
    }

    private static func load(
        _ path: String, name: String, content: String, isValid: ([UInt8]) -> Bool
    ) throws(SupervisionError) -> [UInt8]? {
        guard let (status, bytes) = try read(path) else { return nil }
        let mode = status.st_mode & 0o7777
        guard mode & 0o077 == 0 else {
            throw SupervisionError(
                .configuration,
                "\(name) \(path) is open to others (mode 0\(String(mode, radix: 8))): chmod 600 it")
        }
        let line = bytes.last == UInt8(ascii: "\n") ? Array(bytes.dropLast()) : bytes
        guard isValid(line) else {
            throw SupervisionError(
                .configuration,
                "\(name) \(path) does not hold \(content): mend it, or remove it for a new one")
        }
        return line
    }

    /// What a regular file is and holds, at most ``longest`` bytes and one more of it; nil when there is none.
    static func read(_ path: String) throws(SupervisionError) -> (status: stat, bytes: [UInt8])? {
        // Without O_NONBLOCK a named pipe would hold this up for ever.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            if errno == ELOOP { throw notRegular(path) }
            throw .system("opening \(path)", code: errno)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system("looking at \(path)", code: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw notRegular(path) }
        var bytes = [UInt8](repeating: 0, count: longest + 1)
        var filled = 0
        while filled < bytes.count {
            let count = bytes[filled...].withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system("reading \(path)", code: errno) }
            if count == 0 { break }
            filled += count
        }
        return (status, Array(bytes[..<filled]))
    }

    /// Puts a file of exactly this mode in a name's place, whatever is there.
    ///
    /// - Parameter group: who shall own it besides the owner; nil: as it comes.
    static func replace(
        _ path: String, with content: [UInt8], mode: mode_t, group: gid_t?
    ) throws(SupervisionError) {
        let partial = try write(content, besides: path, mode: mode, group: group)
        guard rename(partial, path) == 0 else {
            let code = errno
            unlink(partial)
            throw .system("writing \(path)", code: code)
        }
    }

    /// A new file beside `path`, that is on the disk.
    private static func write(
        _ content: [UInt8], besides path: String, mode: mode_t, group: gid_t?
    ) throws(SupervisionError) -> String {
        let partial = "\(path).\(String(UInt64.random(in: 0...UInt64.max), radix: 36)).part"
        let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system("creating \(partial)", code: errno) }
        defer { close(descriptor) }
        do throws(SupervisionError) {
            if let group, fchown(descriptor, uid_t.max, group) != 0 {
                throw .system("changing the group of \(partial)", code: errno)
            }
            guard fchmod(descriptor, mode) == 0 else {
                throw .system("changing the mode of \(partial)", code: errno)
            }
            var rest = content[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw .system("writing \(partial)", code: errno) }
                rest = rest.dropFirst(count)
            }
            guard fsync(descriptor) == 0 else { throw .system("syncing \(partial)", code: errno) }
        } catch {
            unlink(partial)
            throw error
        }
        return partial
    }

    /// A new name is durable once its directory is (fsync(2)).
    private static func syncDirectory(of path: String) throws(SupervisionError) {
        let directory = Executables.directory(of: path)
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("opening \(directory)", code: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .system("syncing \(directory)", code: errno) }
    }

    private static func notRegular(_ path: String) -> SupervisionError {
        SupervisionError(.configuration, "\(path) is no regular file: remove it for a new one")
    }
}
