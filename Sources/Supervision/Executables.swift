import Glibc
import ServerSettings

/// Where the programs are that the supervisor runs.
struct Executables {
    /// The running executable itself.
    let supervisor: String
    let worker: String
    let live: String
    /// Nil where nginx is not ours.
    let nginx: String?

    /// - Parameter supervisor: where this program was found at its start; nil: it has just started.
    /// - Throws: `unavailable` when one of them is missing.
    init(
        settings: Settings, parts: ServerParts, searchPath: String, supervisor known: String? = nil
    ) throws(SupervisionError) {
        supervisor = if let known { known } else { try Self.current() }
        let directory = Self.directory(of: supervisor)
        worker = try Self.sibling("durable-streams-worker", in: directory)
        live = try Self.sibling("durable-streams-live", in: directory)
        nginx =
            parts.runsNginx ? try Self.find(nginx: settings.nginxPath, searchPath: searchPath) : nil
    }

    /// The absolute path of the running executable.
    static func current() throws(SupervisionError) -> String {
        guard let buffer = realpath("/proc/self/exe", nil) else {
            throw .system("finding the running executable with /proc/self/exe", code: errno)
        }
        defer { free(buffer) }
        return String(cString: buffer)
    }

    /// Everything before the last slash; `/` for a file of the root directory.
    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    /// Debian keeps nginx in /usr/sbin, which is not in the PATH of ordinary users.
    static func find(nginx: String, searchPath: String) throws(SupervisionError) -> String {
        var candidates = [nginx]
        if !nginx.contains("/") {
            let directories = searchPath.split(separator: ":").map(String.init)
            candidates = (directories + ["/usr/local/sbin", "/usr/sbin", "/sbin"]).map { "\($0)/\(nginx)" }
        }
        guard let found = candidates.first(where: { access($0, X_OK) == 0 }) else {
            throw SupervisionError(
                .unavailable,
                "nginx is missing (no executable \(nginx)): install it with `apt-get install nginx`, or name it "
                    + "with DS_NGINX_PATH")
        }
        return found
    }

    private static func sibling(_ name: String, in directory: String) throws(SupervisionError) -> String {
        let path = "\(directory)/\(name)"
        guard access(path, X_OK) == 0 else {
            throw SupervisionError(
                .unavailable, "\(path) is missing: build all products with `swift build -c release`")
        }
        return path
    }
}
