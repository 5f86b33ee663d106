import Glibc
import StreamStore

/// The file of the key: 64 hexadecimal digits and a line feed, for its owner alone.
extension SecretsKey {
    /// Reads a key.
    ///
    /// - Throws: `absent` when there is no such file; `configuration` when it is no regular file, may be read
    ///   or written by others than its owner, or holds anything but 64 hexadecimal digits and at most one
    ///   line feed; `failed` when it can't be read. The message names the file and what mends it.
    public static func load(path: String) throws(AccessError) -> SecretsKey {
        // Without O_NONBLOCK a named pipe would hold this up for ever.
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            switch errno {
            case ENOENT:
                throw AccessError(kind: .absent, "secrets key \(path) is missing: restore it from your copy")
            case EACCES:
                throw AccessError(
                    kind: .configuration,
                    "secrets key \(path) can't be opened: run this as the owner of the file")
            default: throw failure("open secrets key \(path)")
            }
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("look at secrets key \(path)") }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw AccessError(
                kind: .configuration, "secrets key \(path) is no regular file: restore it from your copy")
        }
        let mode = status.st_mode & 0o7777
        guard mode & 0o077 == 0 else {
            throw AccessError(
                kind: .configuration,
                "secrets key \(path) is open to others (mode 0\(String(mode, radix: 8))): "
                    + "chmod 600 \(Finding.quoted(path))")
        }
        // One byte more than a key may have, so that a longer file is seen to be longer.
        let text = try read(descriptor, atMost: length * 2 + 2, path)
        guard let bytes = bytes(ofDigits: text) else {
            throw AccessError(
                kind: .configuration,
                "secrets key \(path) does not hold 64 hexadecimal digits: restore it from your copy")
        }
        return try SecretsKey(bytes: bytes)
    }

    /// Reads a key, which is made first when there is none. Of several callers one makes it, and all get the
    /// same.
    ///
    /// - Throws: as `load`, and `failed` when the file can't be made.
    public static func loadOrCreate(path: String) throws(AccessError) -> SecretsKey {
        do {
            return try load(path: path)
        } catch {
            guard error.kind == .absent else { throw error }
        }
        let digits = try Cryptography.randomBytes(length).flatMap { [hexDigit($0 >> 4), hexDigit($0 & 0xF)] }
        let suffix = Base64URL.encode(try Cryptography.randomBytes(12))
        let partial = "\(path).\(suffix).part"
        try write(digits + [UInt8(ascii: "\n")], to: partial)
        defer { unlink(partial) }
        // Unlike rename, link doesn't replace a key that somebody made meanwhile.
        if link(partial, path) != 0, errno != EEXIST { throw failure("create secrets key \(path)") }
        // For a key of somebody else too: nothing may be encrypted with one that a power failure could take
        // back.
        try syncFolder(of: path)
        return try load(path: path)
    }

    /// A new file of mode 0600, whatever the umask, that is on the disk.
    private static func write(_ content: [UInt8], to path: String) throws(AccessError) {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("create \(path)") }
        defer { close(descriptor) }
        do throws(AccessError) {
            guard fchmod(descriptor, 0o600) == 0 else { throw failure("chmod \(path)") }
            var done = 0
            while done < content.count {
                let count = content[done...].withUnsafeBytes {
                    Glibc.write(descriptor, $0.baseAddress, $0.count)
                }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw failure("write \(path)") }
                done += count
            }
            guard fsync(descriptor) == 0 else { throw failure("fsync \(path)") }
        } catch {
            unlink(path)
            throw error
        }
    }

    private static func read(
        _ descriptor: Int32, atMost limit: Int, _ path: String
    ) throws(AccessError) -> [UInt8] {
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: limit)
        while content.count < limit {
            let count = Glibc.read(descriptor, &buffer, limit - content.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read secrets key \(path)") }
            if count == 0 { break }
            content.append(contentsOf: buffer[..<count])
        }
        return content
    }

    /// A new name is durable once its folder is (fsync(2)).
    private static func syncFolder(of path: String) throws(AccessError) {
        var folder = "."
        if let slash = path.lastIndex(of: "/") {
            folder = slash == path.startIndex ? "/" : String(path[..<slash])
        }
        let descriptor = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open \(folder)") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("fsync \(folder)") }
    }

    private static func bytes(ofDigits text: [UInt8]) -> [UInt8]? {
        let digits = text.last == UInt8(ascii: "\n") ? text.dropLast() : text[...]
        guard digits.count == length * 2 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = hexValue(digits[index]), let low = hexValue(digits[index + 1]) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func failure(_ operation: String, _ code: Int32 = errno) -> AccessError {
        AccessError(kind: .failed, "\(operation): \(String(cString: strerror(code)))")
    }
}
