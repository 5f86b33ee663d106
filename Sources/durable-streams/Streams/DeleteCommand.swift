import ArgumentParser
import Glibc
import StreamClient
import Supervision

/// `durable-streams delete`
struct DeleteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete a stream of a running server, with everything in it.",
        discussion: """
            On a terminal it asks first. Forks of the stream keep what they have of it.

            Example: durable-streams delete orders/7 --project shop --yes
            """)

    @Argument(help: "The stream: its path, such as orders/7, or its whole URL.")
    var stream: String

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    @OptionGroup var server: ServerOptions

    @Flag(help: "Answer with one JSON object on standard output.")
    var json = false

    func run() {
        let url = server.streamURL(stream)
        if !yes, isatty(STDIN_FILENO) == 1, !isAgreed(url) {
            Command.end(Command.refusedStatus, "nothing was deleted")
        }
        do throws(ClientError) {
            let response = try StreamCalls(server).delete(url)
            guard response.status == 204 else { Command.refused(url, response) }
            if json { Console.output((["url": .string(url), "deleted": .flag(true)] as JSONValue).json) }
        } catch {
            Command.fail(error)
        }
    }

    private func isAgreed(_ url: String) -> Bool {
        let question = Array("Delete \(url) and everything in it? [y/N] ".utf8)
        _ = Glibc.write(STDERR_FILENO, question, question.count)
        let answer = readLine(strippingNewline: true)?.lowercased() ?? ""
        return answer == "y" || answer == "yes"
    }
}
