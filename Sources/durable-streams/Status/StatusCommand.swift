import ArgumentParser
import Glibc
import ServerSettings
import Supervision
import Telemetry

/// `durable-streams status`
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Say how the server of a data directory is.",
        discussion: """
            Processes, what the store holds, how much is read and written, and whether the server takes requests. Run it \
            as the server's user. Exit status 0: all is well; 1: a process is missing or lost, or the server is not \
            ready; 69: nothing runs.

            Example: durable-streams status --data-dir /srv/streams
            """)

    @OptionGroup var data: DataDirectoryOptions

    @Flag(help: "Answer in JSON, on one line.")
    var json = false

    @Flag(help: "Answer with the metrics, in Prometheus's text format, as GET /admin/metrics does.")
    var prometheus = false

    func run() {
        let layout = data.layout
        guard let report = StatusReport(layout) else {
            Command.end(
                EX_UNAVAILABLE, "nothing runs on \(layout.dataDirectory); start it: durable-streams serve")
        }
        if prometheus {
            let text = PrometheusText.render(
                report.snapshot, processes: report.processes, version: ServerVersion.current)
            Console.output(String(decoding: text.dropLast(), as: UTF8.self))
        } else if json {
            Console.output(report.json.json)
        } else {
            Console.output(report.lines.joined(separator: "\n"))
        }
        // A scrape has succeeded even if it tells of trouble.
        if prometheus { Glibc.exit(0) }
        for problem in report.problems where !json { Console.error(problem) }
        Glibc.exit(report.problems.isEmpty ? 0 : Command.findingsStatus)
    }
}
