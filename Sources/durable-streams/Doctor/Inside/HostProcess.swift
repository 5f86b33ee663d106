import Glibc
import ServerSettings

/// A process of a server, as /proc shows it.
struct HostProcess {
    enum Role: String {
        case supervisor, worker, live, nginx
    }

    let role: Role
    let identifier: Int
    private var folder: String { "/proc/\(identifier)" }

    /// All that work on a data directory and that this user may look at.
    static func all(on layout: DataDirectoryLayout) -> [HostProcess] {
        var found: [HostProcess] = []
        let master = Files.text(layout.nginxDirectory + "/nginx.pid").flatMap { Int($0.filter(\.isNumber)) }
        for identifier in Files.names(in: "/proc").compactMap(Int.init) {
            let folder = "/proc/\(identifier)"
            let program = Files.link(folder + "/exe")?.split(separator: "/").last?.split(separator: " ").first
            let role: Role
            switch program {
            case "durable-streams-worker": role = .worker
            case "durable-streams-live": role = .live
            case "durable-streams": role = .supervisor
            case "nginx":
                guard let master, identifier == master || parent(of: identifier) == master else { continue }
                found.append(HostProcess(role: .nginx, identifier: identifier))
                continue
            default: continue
            }
            let marks = [layout.dataDirectory + "/hot.sqlite", layout.lockFile]
            let isOurs = Files.names(in: folder + "/fd").contains { name in
                Files.link("\(folder)/fd/\(name)").map { marks.contains($0) } ?? false
            }
            if isOurs { found.append(HostProcess(role: role, identifier: identifier)) }
        }
        return found
    }

    private static func parent(of identifier: Int) -> Int? {
        guard let text = Files.text("/proc/\(identifier)/stat"), let end = text.lastIndex(of: ")") else {
            return nil
        }
        let fields = text[end...].split(separator: " ")
        return fields.count > 2 ? Int(fields[2]) : nil
    }

    /// Its variables.
    var environment: [String: String] {
        guard let text = Files.text(folder + "/environ") else { return [:] }
        var variables: [String: String] = [:]
        for entry in text.split(separator: "\0") {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
        }
        return variables
    }

    /// Whether its program was replaced since it started.
    var isOutdated: Bool { Files.link(folder + "/exe")?.hasSuffix(" (deleted)") == true }

    /// The paths of the sockets that it takes connections from.
    var listeningPaths: [String] {
        let own = Set(Files.names(in: folder + "/fd").compactMap { Files.link("\(folder)/fd/\($0)") })
        // Those of a service with a network of its own, and those that systemd has opened for it.
        let tables = ["\(folder)/net/unix", "/proc/net/unix"].compactMap(Files.text)
        return tables.joined(separator: "\n").split(separator: "\n").compactMap { line -> String? in
            // Number, references, protocol, flags, type, state, inode, path (proc(5)); 10000: it listens.
            let fields = line.split(separator: " ", maxSplits: 7, omittingEmptySubsequences: true)
            guard fields.count == 8, fields[3] == "00010000", fields[7].hasPrefix("/") else { return nil }
            return own.contains("socket:[\(fields[6])]") ? String(fields[7]) : nil
        }
    }

    /// How many files it has open.
    var openDescriptors: Int { Files.names(in: folder + "/fd").count }

    /// How many it may have open; nil: as many as it wants, or unknown.
    var descriptorLimit: Int? {
        guard let text = Files.text(folder + "/limits") else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("Max open files") }
        return line?.dropFirst("Max open files".count).split(separator: " ").first.flatMap { Int($0) }
    }

    /// The user that it runs as.
    var user: UInt32? {
        var status = stat()
        return stat(folder, &status) == 0 ? status.st_uid : nil
    }
}
