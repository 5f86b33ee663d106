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
        let (reason, said) = try ShortCommand.run(
            [nginx, "-e", "stderr", "-p", rendered.directory + "/", "-c", Nginx.mainFile, "-t", "-q"],
            environment: environment, quotes: true)
        guard reason != .status(0) else { return [] }
        let lines = said.split(whereSeparator: \.isNewline).map(String.init)
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
                arguments: ["--data-dir", folder + "/data", "--request-log", "off"],
                environment: settings.environment())
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
