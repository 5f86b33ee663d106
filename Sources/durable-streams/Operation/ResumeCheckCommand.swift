import ArgumentParser
import Supervision

/// `durable-streams resume-check`: asked by a server before this program takes its place; not for people.
struct ResumeCheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: ResumeCheck.commandName,
        abstract: "Tell whether this program can go on with a server that another version has started.",
        shouldDisplay: false)

    func run() {
        Command.finish { () throws(SupervisionError) in
            try ResumeCheck.run(environment: Command.environment)
            return 0
        }
    }
}
