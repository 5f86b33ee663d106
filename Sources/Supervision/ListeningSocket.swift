import Glibc
import ServerSettings

/// A listening socket of the workers, which share one, or of the live process. The supervisor keeps it open, so
/// that connections wait while a process is restarted.
final class ListeningSocket {
    let descriptor: Int32
    private let path: String
    /// True when systemd made it: then it outlives this server.
    let isPassed: Bool

    /// - Parameters:
    ///   - path: where nginx looks for it.
    ///   - group: the group that may connect, apart from the owner.
    ///   - passed: the socket as systemd opened it; without one it is made here.
    init(path: String, group: gid_t?, passed: Int32? = nil) throws(SupervisionError) {
        self.path = path
        isPassed = passed != nil
        if let passed {
            descriptor = passed
            try Self.pointTo(passed, at: path)
            return
        }
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

    /// Removes its file, unless the socket is systemd's.
    func remove() { if !isPassed { unlink(path) } }

    /// Goes on with one that the program before this one has opened.
    init(adopting descriptor: Int32, path: String, isPassed: Bool) {
        self.descriptor = descriptor
        self.path = path
        self.isPassed = isPassed
        Handles.keepFromOthers(descriptor)
    }

    deinit { close(descriptor) }

    /// Makes the usual path a link to where systemd put the socket: nginx and the tools need to know one place only.
    private static func pointTo(_ descriptor: Int32, at path: String) throws(SupervisionError) {
        var address = sockaddr_un()
        var size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        guard result == 0 else { throw .system("asking for the path of a socket from systemd", code: errno) }
        let target = withUnsafeBytes(of: &address.sun_path) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard target.hasPrefix("/") else {
            throw SupervisionError(
                .configuration, "a socket from systemd has no path: ListenStream= must begin with a slash")
        }
        var (there, wanted) = (stat(), stat())
        if stat(target, &wanted) == 0, stat(path, &there) == 0, there.st_ino == wanted.st_ino,
            there.st_dev == wanted.st_dev
        {
            return
        }
        let link = path + ".new"
        unlink(link)
        guard symlink(target, link) == 0, rename(link, path) == 0 else {
            throw .system("linking \(path) to \(target)", code: errno)
        }
    }
}
