import ArgumentParser
import Glibc
import ServerSettings
import StreamClient
import Supervision

/// `durable-streams doctor`
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look for what is wrong with a running deployment, and say what mends it.",
        discussion: """
            From outside it makes streams of its own, named __doctor-…, and asks what clients ask, to see what proxies and \
            caches on the way make of it; then it deletes them. Without a token that may write, it says which checks it left \
            out. With --data-dir it looks at disk, files and processes too.

            Example: durable-streams doctor --url https://streams.example.com --token "$TOKEN"

            Exit status 0: no errors and no warnings; 1: there are; 69: nobody answers, or no Durable Streams server; \
            130: interrupted.
            """)

    @OptionGroup var options: DoctorOptions

    func validate() throws {
        for header in options.headers where HTTPField(line: header) == nil {
            throw ValidationError("\(header.debugDescription) is no header; give 'Name: value'.")
        }
    }

    func run() {
        Interruption.begin()
        let host = options.dataDir.map {
            Host(dataDirectory: Command.absolute($0), config: options.config)
        }
        var report = Report(url: url(host))
        if let host { report.examine(host) }
        report.examine(options, largestBody: host?.settings.maxBodyBytes)
        if options.json { Console.output(report.json) } else { report.print() }
        Glibc.exit(report.status)
    }

    /// Where the server is: as told, else where the one of the data directory listens, else as `serve` would.
    private func url(_ host: Host?) -> String {
        if let url = options.url { return url }
        let settings =
            host?.settings ?? Command.loadSettings(options.config.map { [SettingKey.configFlag, $0] } ?? [])
        return "http://" + Host.reachable(settings.listen)
    }
}
