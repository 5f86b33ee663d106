import ArgumentParser
import Supervision

/// `durable-streams exec-bound`: how the supervisor starts its children; not for people.
struct ExecBound: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: BoundExecution.commandName,
        abstract: "Run a program that ends when the process that started it ends.",
        shouldDisplay: false)

    @Option(help: "Process id of the supervisor.")
    var parent: Int32

    @Argument(parsing: .postTerminator, help: "Absolute path and arguments of the program.")
    var program: [String] = []

    func run() {
        Command.finish { () throws(SupervisionError) in
            try BoundExecution.run(parent: parent, arguments: program)
        }
    }
}
