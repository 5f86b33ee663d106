import CLinux
import Foundation

/// A system call that failed, with the text of its `errno`.
struct SystemCallError: Error, CustomStringConvertible {
    let description: String

    init(_ call: String, code: Int32 = errno) {
        description = "\(call): \(String(cString: strerror(code)))"
    }
}

/// Binds and listens on a Unix socket at `path`, in place of one that was left there. Every local user
/// may connect: nginx's workers run as another user when nginx was started as root.
func listenOnUnixSocket(_ path: String) throws -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let fits = withUnsafeMutableBytes(of: &address.sun_path) { room in
        guard path.utf8.count < room.count else {
            return false
        }
        room.copyBytes(from: path.utf8)
        return true
    }
    guard fits else {
        throw SystemCallError("bind", code: ENAMETOOLONG)
    }
    unlink(path)
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else {
        throw SystemCallError("socket")
    }
    let bound = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    guard bound == 0 else {
        throw SystemCallError("bind")
    }
    guard chmod(path, 0o666) == 0, listen(descriptor, 1024) == 0 else {
        throw SystemCallError("listen")
    }
    return descriptor
}
