import ArgumentParser
import StreamClient
import Supervision

/// `durable-streams close`
struct CloseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "close",
        abstract: "Close a stream of a running server: nothing can be appended to it any more.",
        discussion: """
            Readers that wait learn of it and end. Closing a closed stream changes nothing. The last offset is printed.

            Example: durable-streams close orders/7 --project shop
            """)

    @Argument(help: "The stream: its path, such as orders/7, or its whole URL.")
    var stream: String

    @OptionGroup var server: ServerOptions

    @Flag(help: "Answer with one JSON object on standard output.")
    var json = false

    func run() {
        let url = server.streamURL(stream)
        do throws(ClientError) {
            let response = try StreamCalls(server).append(
                url, [HTTPField("Stream-Closed", "true")], .bytes([]), isRepeatable: true)
            guard response.status == 204 else { Command.refused(url, response) }
            let offset = response.fields["Stream-Next-Offset"]
            if json {
                Console.output(
                    ([
                        "url": .string(url), "next_offset": .string(offset), "state": .string("closed"),
                    ] as JSONValue).json)
            } else {
                Console.output(offset ?? "")
            }
        } catch {
            Command.fail(error)
        }
    }
}
