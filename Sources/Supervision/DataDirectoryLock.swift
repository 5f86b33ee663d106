import CLinux
import Glibc
import ServerSettings

/// The lock that keeps a data directory to one server: to one pool and one live process, where these are run apart. It ends
/// with the process, however that ends.
struct DataDirectoryLock: ~Copyable {
    let descriptor: Int32

    /// The pool locks the first byte of the file and the live process the second; a whole server locks both, a restore all.
    private static func range(_ parts: ServerParts) -> (start: Int64, length: Int64) {
        switch parts {
        case .all: (0, 2)
        case .pool: (0, 1)
        case .live: (1, 1)
        }
    }

    /// - Throws: `locked` when another server holds it.
    init(_ layout: DataDirectoryLayout, _ parts: ServerParts) throws(SupervisionError) {
        // Close-on-exec: a child that kept the descriptor would keep the lock after the supervisor's end.
        descriptor = open(layout.lockFile, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw .system("opening \(layout.lockFile)", code: errno) }
        let range = Self.range(parts)
        guard ds_lock_range(descriptor, Int16(F_WRLCK), 0, range.start, range.length) == 0 else {
            let code = errno
            close(descriptor)
            guard code == EAGAIN || code == EACCES else {
                throw .system("locking \(layout.lockFile)", code: code)
            }
            throw SupervisionError(
                .locked,
                "data directory \(layout.dataDirectory) is in use by another durable-streams server; stop that "
                    + "one, or give this one a directory of its own with DS_DATA_DIR")
        }
        sign(parts)
    }

    /// Goes on with the lock of the program before this one in this process: it belongs to the open file.
    init(adopting descriptor: Int32, _ parts: ServerParts) {
        self.descriptor = descriptor
        Handles.keepFromOthers(descriptor)
        sign(parts)
    }

    /// The lock belongs to an open file, not to a process; a second one behind it tells whose it is.
    private borrowing func sign(_ parts: ServerParts) { _ = ds_sign(descriptor, Self.signature(parts)) }

    private static func signature(_ parts: ServerParts) -> Int64 { parts.runsPool ? 16 : 17 }

    /// The process that serves some parts of a data directory, or all of it; nil when none does.
    static func holder(_ layout: DataDirectoryLayout, _ parts: ServerParts) -> pid_t? {
        let descriptor = open(layout.lockFile, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let signer = ds_signer(descriptor, signature(parts))
        return signer > 0 ? signer : nil
    }

    deinit { close(descriptor) }
}
