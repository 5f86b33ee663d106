import ArgumentParser
import StreamClient
import Supervision

/// `durable-streams create`
struct CreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make a stream on a running server.",
        discussion: """
            Making one again that is there with the same type and lifetime changes nothing. Its next offset is printed.

            Example: durable-streams create orders/7 --content-type application/json --ttl 3600
            """)

    @Argument(help: "The stream: its path, such as orders/7, or its whole URL.")
    var stream: String

    @Argument(help: "What it begins with. Default: nothing.")
    var data: String?

    @Option(
        help: ArgumentHelp("What it begins with, from a file; - is standard input.", valueName: "path"),
        completion: .file())
    var file: String?

    @Option(
        help: ArgumentHelp(
            "The type of its content. Default: application/octet-stream, or that of the source.",
            valueName: "type"))
    var contentType: String?

    @Option(help: ArgumentHelp("It expires so long after its last use.", valueName: "seconds"))
    var ttl: CountArgument?

    @Option(help: ArgumentHelp("It expires then (RFC 3339).", valueName: "time"))
    var expiresAt: String?

    @Option(help: ArgumentHelp("Keep what is younger.", valueName: "seconds"))
    var retentionAge: CountArgument?

    @Option(help: ArgumentHelp("Keep so much at its end, such as 10GiB.", valueName: "bytes"))
    var retentionBytes: SizeArgument?

    @Option(help: ArgumentHelp("Keep so many messages at its end.", valueName: "messages"))
    var retentionMessages: CountArgument?

    @Flag(help: "It is complete: nothing can be appended.")
    var closed = false

    @Flag(help: "Anybody may read it, also where tokens are asked for.")
    var `public` = false

    @Option(help: ArgumentHelp("Fork this stream, which is given by its path.", valueName: "stream"))
    var forkFrom: String?

    @Option(help: ArgumentHelp("Where the fork leaves its source. Default: at its end.", valueName: "offset"))
    var forkOffset: String?

    @OptionGroup var server: ServerOptions

    @Flag(help: "Answer with one JSON object on standard output.")
    var json = false

    func validate() throws {
        if data != nil, file != nil { throw ValidationError("Give the content or --file, not both.") }
        if forkOffset != nil, forkFrom == nil {
            throw ValidationError("--fork-offset goes with --fork-from.")
        }
        if ttl != nil, expiresAt != nil { throw ValidationError("Give --ttl or --expires-at, not both.") }
    }

    private var fields: HTTPFields {
        var fields: HTTPFields = []
        let texts: [(String, String?)] = [
            ("Content-Type", contentType), ("Stream-TTL", ttl.map { "\($0.value)" }),
            ("Stream-Expires-At", expiresAt), ("Stream-Retention-Age", retentionAge.map { "\($0.value)" }),
            ("Stream-Retention-Bytes", retentionBytes.map { "\($0.bytes)" }),
            ("Stream-Retention-Messages", retentionMessages.map { "\($0.value)" }),
            ("Stream-Closed", closed ? "true" : nil), ("Stream-Forked-From", forkFrom.map(sourcePath)),
            ("Stream-Fork-Offset", forkOffset),
        ]
        for (name, text) in texts {
            if let text { fields.add(name, text) }
        }
        return fields
    }

    /// The source as a path of the same server.
    private func sourcePath(_ source: String) -> String {
        if source.hasPrefix("/v1/") { return source }
        let path = PercentEncoding.path(source.drop { $0 == "/" })
        return "/v1/" + (server.project.map { "\($0)/" } ?? "") + "stream/" + path
    }

    func run() {
        var url = server.streamURL(stream)
        if `public` { url = StreamCalls.url(url, "public=true") }
        let input = file.map { InputFile.open($0) }
        let body = input?.body ?? .bytes(Array((data ?? "").utf8))
        defer { withExtendedLifetime(input) {} }
        do throws(ClientError) {
            let response = try StreamCalls(server).create(url, fields, body)
            guard response.status == 200 || response.status == 201 else { Command.refused(url, response) }
            let offset = response.fields["Stream-Next-Offset"]
            if json {
                Console.output(
                    ([
                        "url": .string(response.fields["Location"] ?? url),
                        "created": .flag(response.status == 201),
                        "next_offset": .string(offset),
                    ] as JSONValue).json)
            } else {
                Console.output(offset ?? "")
            }
        } catch {
            Command.fail(error)
        }
    }
}
