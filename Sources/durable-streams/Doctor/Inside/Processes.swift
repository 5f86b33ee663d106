import Glibc
import ServerSettings
import Telemetry

/// All parts run.
enum Processes: HostCheck {
    static let name = "processes"

    static func examine(_ host: Host) throws(Obstacle) -> [Diagnosis] {
        let folder = host.layout.dataDirectory
        guard Files.status(folder) != nil else {
            return [
                diagnosis(
                    "\(folder) is not there",
                    mend: "give the data directory of the server: --data-dir, as for serve")
            ]
        }
        guard !host.processes.isEmpty else {
            return [
                diagnosis(
                    "no process of this user's works on \(folder)",
                    mend: "start the server; or run doctor as its user, or as root, who see its processes")
            ]
        }
        let missing = [HostProcess.Role.worker, .live].filter { role in
            !host.processes.contains { $0.role == role }
        }
        guard !missing.isEmpty else { return [] }
        return [
            diagnosis(
                "does not run: \(missing.map(\.rawValue).joined(separator: ", "))",
                mend: "the server's log says why it ends; durable-streams status")
        ]
    }

    private static func diagnosis(_ seen: String, mend: String) -> Diagnosis {
        Diagnosis(.error, seen: seen, matters: "requests wait, or are answered 502", mend: mend)
    }
}

/// All processes are of the program that is installed.
enum Versions: HostCheck {
    static let name = "versions"

    static func examine(_ host: Host) throws(Obstacle) -> [Diagnosis] {
        let old = host.processes.filter(\.isOutdated)
        if !old.isEmpty {
            let names = old.map { "\($0.role.rawValue) (pid \($0.identifier))" }.joined(separator: ", ")
            return [diagnosis("the program was replaced while it ran: \(names)")]
        }
        let table = Telemetry.snapshot(path: host.layout.telemetry)?.processes() ?? []
        let running = table.filter { !$0.version.isEmpty && $0.state == .running && kill($0.pid, 0) == 0 }
        let versions = Set(running.map(\.version))
        host.measured.append(("versions", .array(versions.sorted().map { .string($0) })))
        guard versions.count > 1 || versions.contains(where: { $0 != ServerVersion.current }) else {
            return []
        }
        let names = running.map { "\($0.version) (pid \($0.pid))" }.joined(separator: ", ")
        return [diagnosis("not all that runs is version \(ServerVersion.current): \(names)")]
    }

    private static func diagnosis(_ seen: String) -> Diagnosis {
        Diagnosis(
            .warning, seen: seen,
            matters: "an upgrade is not in force, and a restart of one process mixes versions",
            mend: "durable-streams reload")
    }
}
