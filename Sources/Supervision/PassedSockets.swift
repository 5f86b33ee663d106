import Glibc

/// Listening sockets that systemd opened for this process (sd_listen_fds(3)): connections wait there even while nothing of
/// the server runs.
struct PassedSockets {
    static let worker = "worker"
    static let live = "live"
    private static let first: Int32 = 3

    private var descriptors: [String: Int32] = [:]

    /// Takes over what the environment names. None, where that speaks of another process or of nothing.
    ///
    /// - Throws: `configuration` for sockets without the names of `parts`, and for those that nobody can connect to.
    init(environment: [String: String], for parts: ServerParts) throws(SupervisionError) {
        guard environment["LISTEN_PID"] == "\(getpid())",
            let count = environment["LISTEN_FDS"].flatMap({ Int32($0) }), count > 0, count < 1_000
        else { return }
        let names = (environment["LISTEN_FDNAMES"] ?? "")
            .split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        for offset in 0..<count {
            let passed = Self.first + offset
            guard Int(offset) < names.count, parts.socketNames.contains(names[Int(offset)]) else {
                close(passed)
                continue
            }
            // Away from the low numbers: children get their socket as descriptor 3.
            let moved = fcntl(passed, F_DUPFD_CLOEXEC, 16)
            close(passed)
            guard moved >= 0, Self.isListening(moved) else {
                throw SupervisionError(
                    .configuration,
                    "the socket \(names[Int(offset)]) from systemd is no listening stream socket of this machine: "
                        + "ListenStream= must be a path")
            }
            descriptors[names[Int(offset)]] = moved
        }
        if let missing = parts.socketNames.first(where: { descriptors[$0] == nil }) {
            throw SupervisionError(
                .configuration,
                "systemd passed no socket named \(missing): set FileDescriptorName=\(missing) in its .socket unit"
            )
        }
    }

    /// The descriptor of a socket, or nil when none was passed.
    func descriptor(_ name: String) -> Int32? { descriptors[name] }

    private static func isListening(_ descriptor: Int32) -> Bool {
        func option(_ name: Int32) -> Int32? {
            var value: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(descriptor, SOL_SOCKET, name, &value, &size) == 0 ? value : nil
        }
        return option(SO_ACCEPTCONN) == 1 && option(SO_DOMAIN) == AF_UNIX
            && option(SO_TYPE) == Int32(SOCK_STREAM.rawValue)
    }
}
