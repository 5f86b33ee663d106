import Glibc
import ServerSettings

/// A listening socket of the workers, which share one, or of the live process. The supervisor keeps it open, so
/// that connections wait while a process is restarted.
struct ListeningSocket: ~Copyable {
    let descriptor: Int32

    /// - Parameter group: the group that may connect, apart from the owner.
    init(path: String, group: gid_t?) throws(SupervisionError) {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | ListenCheck.closeOnExec, 0)
        guard descriptor >= 0 else { throw .system("creating a socket", code: errno) }
        let address = SocketAddress(unixPath: path)
        // The data directory's lock is held: a socket file found here belongs to nobody.
        unlink(path)
        guard address.withPointer({ bind(descriptor, $0, $1) }) == 0 else {
            throw .system("binding \(path)", code: errno)
        }
        guard chown(path, uid_t.max, group ?? gid_t.max) == 0, chmod(path, 0o660) == 0 else {
            throw .system("giving nginx access to \(path)", code: errno)
        }
        guard listen(descriptor, 4_096) == 0 else { throw .system("listening on \(path)", code: errno) }
    }

    deinit { close(descriptor) }
}
