import ArgumentParser
import Glibc
import ServerSettings
import StreamAccess
import StreamStore
import Supervision

/// `durable-streams check-config`
struct CheckConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-config",
        abstract: "Tell whether a server would start with these settings, and everything that is wrong.",
        discussion: """
            Takes settings as serve does, and changes nothing. One line for each problem on standard error: its setting, \
            value, origin and reason. Also looked at: the data directory, nginx and what it says about its \
            configuration, whether the address is free or held by the server of this data directory, who may do what.

            Names that are no setting are warnings here, so that a file for a newer version can be checked; serve \
            refuses them. With --strict they and all other warnings are errors. Exit status 78: there are errors.

            Example: durable-streams check-config --strict --config /etc/durable-streams.yaml
            """)

    @Flag(help: "Warnings are errors.")
    var strict = false

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp(
            "A settings file, and settings as --name value as for serve.", valueName: "settings"))
    var settings: [String] = []

    func run() {
        var arguments = settings
        // A file may be given without its flag.
        if let first = arguments.first, !first.hasPrefix("-") {
            arguments.replaceSubrange(0..<1, with: [SettingKey.configFlag, first])
        }
        let (loaded, problems) = Settings.report(arguments: arguments, environment: Command.environment)
        var findings = problems.map { problem in
            ConfigurationCheck.Finding(isError: !problem.isUnknownName, text: problem.description)
        }
        // With values that are not those meant, the rest would be about another server.
        if !findings.contains(where: \.isError) {
            findings += ConfigurationCheck.findings(loaded, environment: Command.environment)
            findings += storeFindings(loaded)
        }
        let errors = findings.count { $0.isError || strict }
        for finding in findings {
            Console.error("\(finding.isError || strict ? "error" : "warning"): \(finding.text)")
        }
        if errors > 0 {
            Console.output("\(errors) error(s), \(findings.count - errors) warning(s)")
            Glibc.exit(SettingsError.exitStatus)
        }
        Console.output(
            findings.isEmpty
                ? "the configuration is fine" : "the configuration will do: \(findings.count) warning(s)")
    }

    /// What `serve` asks of a store that is there.
    private func storeFindings(_ settings: Settings) -> [ConfigurationCheck.Finding] {
        let files = StoreFiles(
            folder: settings.layout.dataDirectory, segments: settings.layout.segmentsDirectory)
        do throws(StoreError) {
            try StoreCheck.check(files)
        } catch {
            return [ConfigurationCheck.Finding(isError: true, text: "data_dir: \(error.description)")]
        }
        guard settings.auth == .projectJWT, access(files.hotLog, R_OK) == 0 else { return [] }
        do throws(AccessError) {
            try ProjectAdministration.checkKey(files, creates: false)
        } catch {
            return [ConfigurationCheck.Finding(isError: true, text: "auth: \(error.message)")]
        }
        return []
    }
}
