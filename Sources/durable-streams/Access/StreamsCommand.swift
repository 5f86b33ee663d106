import ArgumentParser
import StreamAccess
import StreamProtocol
import StreamStore
import Supervision

/// `durable-streams streams`
struct StreamsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "streams",
        abstract: "List the streams of a project, in the order of their paths.",
        discussion: """
            The same as GET /v1/PROJECT/streams. Streams that have expired or are deleted are left out.

            Example: durable-streams streams shop --prefix rooms/ --limit 1000
            """)

    private static let limits: ClosedRange<Int64> = 1...1_000

    @Argument(help: "The project.")
    var project: String

    @Option(help: "List only paths that begin so.")
    var prefix = ""

    @Option(help: ArgumentHelp("Go on behind this path: next of the page before.", valueName: "path"))
    var after: String?

    @Option(help: "How many at most, from 1 to 1000.")
    var limit = CountArgument(100)

    @OptionGroup var options: AccessOptions

    func validate() throws {
        guard StreamsCommand.limits.contains(limit.value) else {
            throw ValidationError("--limit takes a number from 1 to 1000.")
        }
    }

    func run() {
        options.administer { (administration) throws(AccessError) in
            let (streams, next) = try administration.streams(
                of: project, prefix: prefix, after: after, limit: Int(limit.value))
            options.answer(["streams": .array(streams.map(\.json)), "next": .string(next)]) {
                let heading = ["PATH", "CONTENT TYPE", "TAIL", "STATE", "PUBLIC", "CREATED", "LAST WRITE"]
                Console.output(TextTable.lines([heading] + streams.map(\.cells)).joined(separator: "\n"))
                if let next { Console.note("there are more: go on with --after \(next)") }
            }
            return 0
        }
    }
}

extension ListedStream {
    private var state: String { isClosed ? "closed" : "open" }
    private var created: String { Timestamp.text(milliseconds: createdAt) }
    private var lastWrite: String? { lastWriteAt.map { Timestamp.text(milliseconds: $0) } }

    fileprivate var json: JSONValue {
        [
            "path": .string(path), "content_type": .string(contentType), "tail": .string(tail),
            "state": .string(state), "public": .flag(isPublic), "created_at": .string(created),
            "last_write_at": .string(lastWrite),
        ]
    }

    fileprivate var cells: [String] {
        [path, contentType, tail, state, isPublic ? "yes" : "no", created, lastWrite ?? "never"]
    }
}
