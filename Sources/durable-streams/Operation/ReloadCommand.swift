import ArgumentParser
import Glibc
import ServerSettings
import Supervision

/// `durable-streams reload`
struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Have a running server take up new settings and new programs, without a pause.",
        discussion: """
            New processes start beside the old ones, which then finish what they have in hand; live readers reconnect \
            over a few seconds. Exit status 1: it was refused, with the reason, and the old processes go on; 69: no \
            server runs on the data directory.
            """)

    @OptionGroup var data: DataDirectoryOptions

    func run() {
        let layout = data.layout
        Command.finish { () throws(SupervisionError) in
            let states = try ReloadRequest.send(layout)
            for state in states where !state.isRefused { Console.output("reloaded   \(state.message)") }
            for state in states where state.isRefused { Console.error("reload refused: \(state.message)") }
            return states.contains(where: \.isRefused) ? EXIT_FAILURE : 0
        }
    }
}
