/// Processes may open as many files as they will need.
enum Descriptors: HostCheck {
    static let name = "descriptors"

    /// Below this a few thousand readers are too many.
    private static let least = 4_096
    /// Percent in use at which somebody should look.
    private static let high = 80

    static func examine(_ host: Host) throws(Obstacle) -> [Diagnosis] {
        guard !host.processes.isEmpty else { throw .skipped("no process runs") }
        var found: [Diagnosis] = []
        let connections = connections(host)
        for process in host.processes where process.role != .supervisor {
            guard let limit = process.descriptorLimit else { continue }
            let who = "\(process.role.rawValue) (pid \(process.identifier))"
            let open = process.openDescriptors
            if open * 100 > limit * high {
                found.append(diagnosis(.error, "\(who) has \(open) of \(limit) files open"))
            } else if process.role == .nginx, let connections, limit < connections {
                found.append(
                    diagnosis(
                        .warning,
                        "\(who) may have \(limit) files open, fewer than its \(connections) worker_connections"
                    ))
            } else if limit < least {
                found.append(diagnosis(.warning, "\(who) may have \(limit) files open"))
            }
        }
        return found
    }

    /// What nginx's configuration allows each worker.
    private static func connections(_ host: Host) -> Int? {
        let text = Files.text(host.layout.nginxDirectory + "/nginx.conf") ?? ""
        let words = text.split(whereSeparator: \.isWhitespace)
        guard let index = words.firstIndex(of: "worker_connections"), index + 1 < words.count else {
            return nil
        }
        return Int(words[index + 1].filter(\.isNumber))
    }

    private static func diagnosis(_ severity: Severity, _ seen: String) -> Diagnosis {
        Diagnosis(
            severity, seen: seen,
            matters:
                "a live reader takes two of nginx and one of the live process; who comes later is turned away",
            mend:
                "LimitNOFILE=65536 in the unit (systemd), or ulimit -Hn 65536 before serve; worker_rlimit_nofile 65536; in "
                + "an nginx of your own")
    }
}

/// The kernel does not stand in the way.
enum Kernel: HostCheck {
    static let name = "kernel"

    /// What nginx asks for (`backlog` in nginx.conf).
    private static let backlog = 4_096
    private static let files = 65_536

    static func examine(_ host: Host) throws(Obstacle) -> [Diagnosis] {
        var found: [Diagnosis] = []
        for (name, path, least) in [
            ("net.core.somaxconn", "/proc/sys/net/core/somaxconn", backlog),
            ("fs.file-max", "/proc/sys/fs/file-max", files),
        ] {
            guard let text = Files.text(path), let value = UInt64(text.filter(\.isNumber)), value < least
            else { continue }
            found.append(
                Diagnosis(
                    .note, seen: "\(name) is \(value)",
                    matters: "a burst of new connections, or many readers, is turned away",
                    mend: "sysctl -w \(name)=\(name.hasPrefix("fs") ? 1_000_000 : least)"))
        }
        return found
    }
}
