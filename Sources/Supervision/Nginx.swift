import Glibc
import ServerSettings

/// The command lines of nginx for a rendered configuration.
struct Nginx {
    let executable: String
    /// Absolute path of the directory with `nginx.conf`.
    let directory: String
    /// True when `nginx.conf` has a `daemon` directive of its own, which must not be given twice.
    let setsDaemon: Bool

    static let mainFile = "nginx.conf"

    /// Renders the templates and creates what nginx expects.
    static func render(
        _ templates: NginxTemplates, executable: String, settings: Settings, account: NginxAccount,
        adminKey: String?
    ) throws(SupervisionError) -> Nginx {
        let directory = settings.layout.nginxDirectory
        let placeholders = NginxPlaceholders.values(
            settings: settings, configurationDirectory: directory, user: account.directive, adminKey: adminKey
        )
        let names = try templates.render(
            into: directory, placeholders: placeholders, for: settings.auth, admin: settings.admin)
        guard names.contains(mainFile) else {
            throw SupervisionError(.configuration, "\(templates.directory) has no \(mainFile)")
        }
        return try rendered(in: directory, executable: executable)
    }

    /// For a configuration that is there.
    static func rendered(in directory: String, executable: String) throws(SupervisionError) -> Nginx {
        let path = "\(directory)/\(mainFile)"
        let text: String
        do throws(SmallFile.Failure) {
            text = String(decoding: try SmallFile.read(path), as: UTF8.self)
        } catch {
            throw .system("reading \(path)", code: error.code)
        }
        let setsDaemon = text.split(whereSeparator: \.isNewline)
            .contains { $0.drop { $0 == " " || $0 == "\t" }.hasPrefix("daemon ") }
        return Nginx(executable: executable, directory: directory, setsDaemon: setsDaemon)
    }

    /// Until `error_log` is read, nginx reports to standard error and not to a file that only root may write.
    private var common: [String] {
        [executable, "-e", "stderr", "-p", directory + "/", "-c", Self.mainFile]
    }

    /// Runs nginx in the foreground.
    var arguments: [String] { setsDaemon ? common : common + ["-g", "daemon off;"] }

    /// Has nginx check the configuration.
    ///
    /// - Parameter quotes: whether the error quotes what nginx says is wrong; otherwise nginx prints it.
    func test(environment: [String: String], quotes: Bool = false) throws(SupervisionError) {
        let (reason, said) = try ShortCommand.run(
            common + ["-t", "-q"], environment: environment, quotes: quotes)
        guard reason == .status(0) else {
            let detail = said.split(separator: "\n").first.map { ": \($0)" } ?? ""
            throw SupervisionError(
                .configuration, "nginx refuses \(directory)/\(Self.mainFile): nginx -t \(reason)\(detail)")
        }
    }
}
