import ArgumentParser
import Glibc
import StreamClient
import Supervision

/// `durable-streams read`
struct ReadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "read",
        abstract: "Write what a stream of a running server holds to standard output, and follow it.",
        discussion: """
            Bytes come out as they were appended; of a JSON stream each message is one line. With --follow it goes on \
            with what is appended, until the stream is closed or Ctrl-C; after a loss of the connection or a restart of \
            the server it goes on where it was. The offset to go on at is written to standard error at the end, or into \
            the file of --offset-file behind each part, where the next run begins.

            Examples: durable-streams read orders/7 --project shop | jq .total
            durable-streams read journal --follow --offset-file journal.offset
            """)

    @Argument(help: "The stream: its path, such as orders/7, or its whole URL.")
    var stream: String

    @Option(parsing: .unconditional, help: "Begin there. Default: at the start.")
    var offset: String?

    @Flag(help: "Begin behind what is there already.")
    var now = false

    @Flag(name: .shortAndLong, help: "Go on with what is appended.")
    var follow = false

    @Flag(
        help: "Of a JSON stream, write arrays as they come, one a line, instead of a line for each message.")
    var arrays = false

    @Option(
        help: ArgumentHelp(
            "Keep the offset to go on at in this file, and begin at the one in it.", valueName: "path"),
        completion: .file())
    var offsetFile: String?

    @Flag(name: .shortAndLong, help: "Do not write the next offset to standard error.")
    var quiet = false

    @Option(
        help: ArgumentHelp(
            "For how long to try again without success. Default: 30, with --follow for ever.",
            valueName: "seconds"))
    var retryFor: CountArgument?

    @OptionGroup var server: ServerOptions

    func validate() throws {
        if now, offset != nil { throw ValidationError("Give --offset or --now, not both.") }
        if let offset, !OffsetFile.isOffset(offset) {
            throw ValidationError("--offset: \(offset.debugDescription) is no offset.")
        }
    }

    func run() {
        let url = server.streamURL(stream)
        let file = offsetFile.map { OffsetFile(path: $0) }
        let start = offset ?? (now ? "now" : nil) ?? file?.load() ?? "-1"
        StopSignal.begin()
        let reader = StreamReader(
            server, url: url, start: start, file: file, writesArrays: arrays, isQuiet: quiet,
            patience: retryFor.map { Double($0.value) } ?? (follow ? nil : 30))
        reader.run(follows: follow)
    }
}
