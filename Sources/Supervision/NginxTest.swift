import Glibc
import ServerSettings

/// Has nginx look at the configuration that a server would give it, in a folder that is removed again.
enum NginxTest {
    /// - Returns: what nginx says against it, a line each; nothing when it takes it.
    static func run(
        _ nginx: String, _ templates: NginxTemplates, _ settings: Settings, environment: [String: String]
    ) throws(SupervisionError) -> [String] {
        var template = Array("/tmp/durable-streams-check-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw .system("making a directory in /tmp", code: errno) }
        let folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        defer { remove(folder) }
        let copy = try elsewhere(settings, folder)
        for path in [
            copy.layout.nginxDirectory, copy.layout.runDirectory, copy.layout.nginxDirectory + "/temp",
        ] {
            try Directories.create(path)
        }
        let rendered = try Nginx.render(
            templates, executable: nginx, settings: copy,
            account: NginxAccount.choose(dataDirectory: copy.dataDirectory, nginxGroup: nil),
            adminKey: settings.admin ? "none" : nil)
        let memory = MemoryDirectory(copy.layout)
        if copy.auth == .projectJWT { try memory.create(group: nil) }
        defer { memory.remove() }
        let log = folder + "/test.log"
        let descriptor = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system("opening \(log)", code: errno) }
        defer { close(descriptor) }
        let child = try ChildProcess.spawn(
            [nginx, "-e", "stderr", "-p", rendered.directory + "/", "-c", Nginx.mainFile, "-t", "-q"],
            environment: environment, standardError: descriptor)
        var status: Int32 = 0
        while waitpid(child.identifier, &status, 0) < 0, errno == EINTR {}
        let reason = ExitReason(waitStatus: status)
        guard reason != .status(0) else { return [] }
        let said = (try? SmallFile.read(log, most: 65_536)) ?? []
        let lines = String(decoding: said, as: UTF8.self).split(whereSeparator: \.isNewline).map(String.init)
        let errors = lines.filter {
            $0.contains("[emerg]") || $0.contains("[alert]") || $0.contains("[crit]")
        }
        return errors.isEmpty ? ["nginx -t \(reason)"] : errors
    }

    /// The same settings with everything that is written in another place.
    private static func elsewhere(_ settings: Settings, _ folder: String) throws(SupervisionError) -> Settings
    {
        do throws(SettingsError) {
            return try Settings.load(
                arguments: ["--data-dir", folder + "/data"], environment: settings.environment())
        } catch {
            throw SupervisionError(.configuration, error.description)
        }
    }

    private static func remove(_ path: String) {
        if let names = try? Directories.names(in: path) {
            for name in names {
                let child = "\(path)/\(name)"
                if unlink(child) != 0 { remove(child) }
            }
        }
        rmdir(path)
    }
}
