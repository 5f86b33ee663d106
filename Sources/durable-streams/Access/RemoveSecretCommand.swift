import ArgumentParser
import StreamAccess
import Supervision

/// `durable-streams remove-secret`
struct RemoveSecretCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove-secret",
        abstract: "Take a secret from a project: tokens signed with it are refused.",
        discussion: """
            A running server refuses them within two seconds. The last secret of a project stays (exit status 65): add \
            another first. The command projects shows the ids.

            Example: durable-streams remove-secret shop 1
            """)

    @Argument(help: "The project.")
    var project: String

    @Argument(help: "The number of the secret.")
    var id: CountArgument

    @OptionGroup var options: AccessOptions

    func run() {
        options.administer { (administration) throws(AccessError) in
            try administration.removeSecret(id.value, of: project)
            options.answer(["project": .string(project), "removed": .number(id.value)]) {
                Console.output("removed secret \(id.value) of project \(project)")
            }
            return 0
        }
    }
}
