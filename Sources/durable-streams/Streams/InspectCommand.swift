import ArgumentParser
import StreamClient
import Supervision

/// `durable-streams inspect`
struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Tell what a running server knows of a stream.",
        discussion: """
            Changes nothing, and does not count as use of a stream that expires without it.

            Example: durable-streams inspect orders/7 --project shop
            """)

    @Argument(help: "The stream: its path, such as orders/7, or its whole URL.")
    var stream: String

    @OptionGroup var server: ServerOptions

    @Flag(help: "Answer with one JSON object on standard output.")
    var json = false

    func run() {
        let url = server.streamURL(stream)
        do throws(ClientError) {
            let response = try StreamCalls(server).head(url)
            // An answer to HEAD can't say why, but a read would be use of the stream.
            guard response.status == 200 else { Command.refused(url, response) }
            show(StreamFacts(url: url, response.fields))
        } catch {
            Command.fail(error)
        }
    }

    private func show(_ facts: StreamFacts) {
        if json { return Console.output(facts.json.json) }
        Console.output(TextTable.lines(facts.rows).joined(separator: "\n"))
    }
}

/// What an answer's fields tell of a stream.
struct StreamFacts {
    let url: String
    let fields: HTTPFields

    init(url: String, _ fields: HTTPFields) {
        self.url = url
        self.fields = fields
    }

    private var isClosed: Bool { fields["Stream-Closed"] == "true" }
    private var isPublic: Bool { fields["Stream-Public"] == "true" }

    private func number(_ name: String) -> JSONValue { .number(fields[name].flatMap { Int64($0) }) }

    var json: JSONValue {
        [
            "url": .string(url), "content_type": .string(fields["Content-Type"]),
            "state": .string(isClosed ? "closed" : "open"), "public": .flag(isPublic),
            "next_offset": .string(fields["Stream-Next-Offset"]),
            "earliest_offset": .string(fields["Stream-Earliest-Offset"]),
            "ttl_seconds": number("Stream-TTL"), "expires_at": .string(fields["Stream-Expires-At"]),
            "retention": [
                "age": number("Stream-Retention-Age"), "bytes": number("Stream-Retention-Bytes"),
                "messages": number("Stream-Retention-Messages"),
            ],
            "reader_key": .string(fields["Stream-Reader-Key"]),
        ]
    }

    /// A name and its value in words on each row; only what there is.
    var rows: [[String]] {
        var rows = [
            ["URL", url], ["content type", fields["Content-Type"] ?? "none"],
            ["state", isClosed ? "closed: nothing can be appended" : "open"],
            ["readers", isPublic ? "anybody" : "whoever the server lets in"],
            ["next offset", fields["Stream-Next-Offset"] ?? "unknown"],
        ]
        let others: [(name: String, field: String, before: String, after: String)] = [
            ("begins at", "Stream-Earliest-Offset", "", ""),
            ("expires", "Stream-TTL", "", " seconds after its last use"),
            ("expires", "Stream-Expires-At", "at ", ""),
            ("keeps", "Stream-Retention-Age", "the last ", " seconds"),
            ("keeps", "Stream-Retention-Bytes", "the last ", " bytes"),
            ("keeps", "Stream-Retention-Messages", "the last ", " messages"),
            ("reader key", "Stream-Reader-Key", "", ""),
        ]
        for other in others {
            if let value = fields[other.field] {
                rows.append([other.name, other.before + value + other.after])
            }
        }
        return rows
    }
}
