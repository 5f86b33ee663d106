import ArgumentParser
import StreamStore
import Supervision

/// `durable-streams verify`
struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check everything that a server or a backup holds.",
        discussion: """
            Reads all segments and the whole hot log: checksums, sizes, order of offsets, counts, references, files of \
            nobody. A server may be at work meanwhile. One line for each finding, with the command that mends it; exit \
            status 1 when there are any.
            """)

    @Argument(help: "A backup, or a data directory. Default: the data directory.")
    var folder: String?

    @OptionGroup var data: DataDirectoryOptions

    func run() {
        let files = folder.map { StoreFiles(folder: Command.absolute($0)) } ?? data.files
        Command.finish { () throws(StoreError) in
            let summary = try Command.observe(findingsOn: Console.output) { (observer) throws(StoreError) in
                try Verification(of: files).run(observer)
            }
            let findings = summary.findings == 0 ? "no findings" : "\(summary.findings) finding(s)"
            Console.output(
                "verified \(files.folder): \(summary.streams) streams, \(summary.segments) segments, "
                    + "\(summary.records) records: \(findings)")
            return summary.findings > 0 ? Command.findingsStatus : 0
        }
    }
}
