import ArgumentParser
import StreamAccess
import Supervision

/// `durable-streams rotate-reader-key`
struct RotateReaderKeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-reader-key",
        abstract: "Give new reader keys to all streams of a project, or to one.",
        discussion: """
            Answers to requests with an old key (rk=… in the query) are private from then on: shared caches store none \
            of them any more. The key is no credential; to shut somebody out, remove the secret of the token.

            Example: durable-streams rotate-reader-key shop rooms/lobby
            """)

    @Argument(help: "The project.")
    var project: String

    @Argument(help: "The stream, by its path below /stream/. Default: all of them.")
    var stream: String?

    @OptionGroup var options: AccessOptions

    func run() {
        options.administer { (administration) throws(AccessError) in
            try administration.rotateReaderKey(of: project, stream: stream)
            options.answer(["project": .string(project), "stream": .string(stream)]) {
                Console.output(
                    stream.map { "new reader key for stream \($0) of project \(project)" }
                        ?? "new reader keys for all streams of project \(project)")
            }
            return 0
        }
    }
}
