import ArgumentParser
import StreamStore
import Supervision

/// `durable-streams backup`
struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy everything that a server holds into a folder, while it goes on.",
        discussion: """
            Run it again with the same folder to bring the copy up to date: only new segments are copied. The copy \
            before stays whole until the new one is complete. Exit status 1: something is damaged and was left out.
            """)

    @Argument(help: "The folder of the backup; it is made if it is missing.")
    var folder: String

    @OptionGroup var data: DataDirectoryOptions

    func run() {
        let (files, target) = (data.files, BackupFiles(folder: Command.absolute(folder)))
        Command.finish { () throws(StoreError) in
            let summary = try Command.observe { (observer) throws(StoreError) in
                try Backup(of: files, to: target).run(observer)
            }
            Console.output(
                "backed up \(files.folder) to \(target.folder): \(summary.streams) streams, "
                    + "\(summary.segments) segments (\(summary.copied) copied, "
                    + "\(summary.segments - summary.copied - summary.damaged) there already), "
                    + "\(summary.bytes) bytes copied")
            return summary.damaged > 0 ? Command.findingsStatus : 0
        }
    }
}
