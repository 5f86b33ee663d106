import ArgumentParser
import StreamStore
import Supervision

/// `durable-streams restore`
struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Copy a backup into an empty data directory.",
        discussion: """
            What was written behind the backup is lost. Streams made later never get offsets that a lost stream may have \
            had, and entity tags differ from those before. Exit status 1: something in the backup is damaged; reads of \
            that part answer 500.
            """)

    @Argument(help: "The folder of the backup.")
    var folder: String

    @OptionGroup var data: DataDirectoryOptions

    func run() {
        let (files, source) = (data.files, BackupFiles(folder: Command.absolute(folder)))
        Command.finish { () throws(StoreError) in
            let summary = try Command.observe { (observer) throws(StoreError) in
                try Restore(of: source, to: files).run(observer)
            }
            Console.output(
                "restored \(source.folder) to \(files.folder): \(summary.streams) streams, "
                    + "\(summary.segments) segments, \(summary.bytes) bytes of them")
            return summary.damaged > 0 ? Command.findingsStatus : 0
        }
    }
}
