import CLinux
import Glibc
import ServerSettings

/// The lock that keeps a data directory to one server: to one pool and one live process, where these are run apart. It ends
/// with the process, however that ends.
struct DataDirectoryLock: ~Copyable {
    private let descriptor: Int32

    /// The pool locks the first byte of the file and the live process the second; a whole server, as a restore, locks all.
    private static func range(_ parts: ServerParts) -> (start: Int64, length: Int64) {
        switch parts {
        case .all: (0, 0)
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
    }

    deinit { close(descriptor) }
}
