import Glibc

/// What is secret is for the server's user only.
enum Permissions: HostCheck {
    static let name = "permissions"

    /// Files of the data directory with the bits that nobody else must have.
    private static let limits: [(name: String, forbidden: UInt32)] = [
        ("", 0o022), ("/secrets.key", 0o077), ("/admin-password", 0o077), ("/admin.key", 0o077),
        ("/hot.sqlite", 0o007), ("/hot.sqlite-wal", 0o007), ("/segments", 0o007),
        ("/nginx/admin.htpasswd", 0o027),
        ("/nginx", 0o022), ("/nginx/nginx.conf", 0o022),
    ]

    static func examine(_ host: Host) throws(Obstacle) -> [Diagnosis] {
        let folder = host.layout.dataDirectory
        guard let directory = Files.status(folder) else {
            throw .skipped("the data directory can't be entered")
        }
        let isShut = directory.mode & 0o001 == 0
        var found: [Diagnosis] = []
        for (name, forbidden) in limits {
            guard let status = Files.status(folder + name), status.mode & forbidden != 0 else { continue }
            // Where strangers can't enter the directory, a file that they could read is none.
            if isShut, forbidden == 0o007 { continue }
            let wanted = String(status.mode & ~forbidden, radix: 8)
            found.append(
                diagnosis(
                    "\(folder)\(name) is open to others (mode \(String(status.mode, radix: 8)))",
                    "chmod \(wanted) \(folder)\(name)"))
        }
        // The key is in some of nginx's files, too: whoever reads it is the operator to the workers.
        if let key = Files.text(host.layout.adminKey)?.split(separator: "\n").first {
            for path in Files.names(in: host.layout.nginxDirectory).map({
                "\(host.layout.nginxDirectory)/\($0)"
            }) {
                guard let status = Files.status(path), status.mode & 0o007 != 0, !isShut,
                    Files.text(path)?.contains(key) == true
                else { continue }
                let wanted = String(status.mode & ~0o007, radix: 8)
                found.append(
                    diagnosis(
                        "\(path) holds the operator's key and is open to others", "chmod \(wanted) \(path)"))
            }
        }
        guard let user = host.processes.first(where: { $0.role == .worker })?.user else { return found }
        for name in ["/hot.sqlite", "/secrets.key", "/segments"] {
            guard let status = Files.status(folder + name), status.owner != user else { continue }
            found.append(
                diagnosis(
                    "\(folder)\(name) belongs to user \(status.owner), the server runs as \(user)",
                    "chown -R \(user) \(folder)"))
        }
        return found
    }

    private static func diagnosis(_ seen: String, _ mend: String) -> Diagnosis {
        Diagnosis(
            .error, seen: seen, matters: "users of this machine get at secrets and data, or the server can't",
            mend: mend)
    }
}

/// The sockets are there, somebody takes from them, and not everybody may give.
enum Sockets: HostCheck {
    static let name = "sockets"

    static func examine(_ host: Host) throws(Obstacle) -> [Diagnosis] {
        guard !host.processes.isEmpty else { throw .skipped("no process runs") }
        var found: [Diagnosis] = []
        // What systemd opens lies elsewhere; the third was made under another name.
        let listening = host.processes.filter { $0.role != .nginx }.flatMap(\.listeningPaths)
        let paths = [host.layout.workerSocket, host.layout.liveSocket].map { usual in
            let name = usual.split(separator: "/").last ?? ""
            return listening.first { $0.hasSuffix("/\(name)") } ?? usual
        }
        for path in paths + [host.layout.wakeSocket] {
            guard let status = Files.status(path) else {
                found.append(diagnosis("\(path) is missing", "durable-streams status; restart the server"))
                continue
            }
            if status.mode & 0o006 != 0 {
                found.append(
                    diagnosis(
                        "\(path) is open to others (mode \(String(status.mode, radix: 8)))",
                        "chmod \(String(status.mode & ~0o007, radix: 8)) \(path)"))
            }
        }
        return found
    }

    private static func diagnosis(_ seen: String, _ mend: String) -> Diagnosis {
        Diagnosis(
            .error, seen: seen,
            matters: "nginx does not reach a part of the server, or others reach it around nginx", mend: mend)
    }
}
