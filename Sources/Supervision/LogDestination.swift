import Glibc
import ServerSettings

/// Where logs go.
enum LogDestination {
    /// Nginx opens our standard output anew, and then writes at the end of a file. So must whoever has it already, or the
    /// lines of one would be written over those of the other.
    static func prepare() {
        for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
            var found = stat()
            guard fstat(descriptor, &found) == 0, found.st_mode & S_IFMT == S_IFREG else { continue }
            let flags = fcntl(descriptor, F_GETFL)
            if flags >= 0 { _ = fcntl(descriptor, F_SETFL, flags | O_APPEND) }
        }
    }

    /// Refuses what nginx could not write its request log to.
    static func check(_ requestLog: RequestLog) throws(SupervisionError) {
        switch requestLog {
        case .off: break
        case .standardOutput:
            let opened = open("/dev/stdout", O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
            guard opened < 0 else {
                close(opened)
                return
            }
            let code = errno
            var found = stat()
            let isSocket = fstat(STDOUT_FILENO, &found) == 0 && found.st_mode & S_IFMT == S_IFSOCK
            let reason =
                isSocket ? "standard output is a socket, as under systemd" : String(cString: strerror(code))
            throw SupervisionError(
                .configuration,
                "request_log stdout: nginx can't open it (\(reason)); give a path instead, such as "
                    + "/var/log/durable-streams/requests.log")
        case .file(let path):
            let directory = Executables.directory(of: path)
            guard try Directories.status(directory, followLinks: true).isDirectory else {
                throw SupervisionError(.configuration, "request_log \(path): \(directory) is no directory")
            }
        }
    }
}
