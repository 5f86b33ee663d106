import ArgumentParser
import ServerSettings

/// `durable-streams man`: what makes the manual page; for those who pack the program.
struct ManualCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "man", abstract: "Print the manual page durable-streams(1).", shouldDisplay: false)

    func run() {
        guard let page = ManualPage(DurableStreams._dumpHelp())?.text else {
            Command.end(70, "the description of the commands has another form than expected")
        }
        Output.write(page)
    }
}
