import ArgumentParser
import ServerSettings
import StreamAccess
import StreamStore
import Supervision

/// `durable-streams serve`
struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run nginx, the workers and the live process in the foreground.",
        discussion: SettingsHelp.text)

    @Option(
        help: ArgumentHelp(
            "What to run: all, or behind an nginx of your own the pool of workers or the live process alone. These take "
                + "their sockets from systemd, if it passes some.", valueName: "all|pool|live"))
    var parts: ServerParts = .all

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp("Settings as --name value; see above.", valueName: "settings"))
    var settings: [String] = []

    func run() {
        resume()
        let loaded = Command.loadSettings(settings)
        Command.checkAccess(loaded)
        let files = StoreFiles(
            folder: loaded.layout.dataDirectory, segments: loaded.layout.segmentsDirectory)
        do throws(StoreError) {
            try StoreCheck.check(files)
        } catch {
            // The directory given is not one to serve.
            Command.end(SettingsError.exitStatus, error.description)
        }
        Command.finish { () throws(SupervisionError) in
            try Server.serve(
                settings: loaded, parts: parts, arguments: settings, environment: Command.environment
            ) {
                do throws(AccessError) {
                    try ProjectAdministration.checkKey(files)
                } catch {
                    Command.end(SettingsError.exitStatus, error.description)
                }
            }
        }
    }

    /// Goes on where another program has left off in this process, if one has.
    private func resume() {
        var environment = Command.environment
        guard let text = environment.removeValue(forKey: Resumption.variable) else { return }
        Command.finish { () throws(SupervisionError) in
            guard let resumption = Resumption(text) else { throw ResumeCheck.unknown }
            return try Server.resume(
                resumption, parts: parts, arguments: settings, environment: environment)
        }
    }
}

extension ServerParts: ExpressibleByArgument {}
