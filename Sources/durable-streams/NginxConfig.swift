import ArgumentParser
import ServerSettings
import Supervision

/// `durable-streams nginx-config`
struct NginxConfig: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nginx-config",
        abstract: "Write nginx's configuration, rendered from the templates, without starting anything.",
        discussion: SettingsHelp.text)

    @Option(help: "Directory of the rendered files; created when missing.")
    var output: String

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp("Settings as --name value; see above.", valueName: "settings"))
    var settings: [String] = []

    func run() {
        let loaded = Command.loadSettings(settings)
        Command.checkAccess(loaded)
        Command.finish { () throws(SupervisionError) in
            for path in try ConfigurationRendering.render(settings: loaded, output: output) {
                Console.output(path)
            }
            return 0
        }
    }
}
