import CLinux
import Glibc
import ServerSettings

/// The lock that keeps a data directory to one server. It ends with the process, however that ends.
struct DataDirectoryLock: ~Copyable {
    private let descriptor: Int32

    /// - Throws: `locked` when another server holds it.
    init(_ layout: DataDirectoryLayout) throws(SupervisionError) {
        // Close-on-exec: a child that kept the descriptor would keep the lock after the supervisor's end.
        descriptor = open(layout.lockFile, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw .system("opening \(layout.lockFile)", code: errno) }
        guard ds_lock(descriptor, Int16(F_WRLCK), 0) == 0 else {
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
