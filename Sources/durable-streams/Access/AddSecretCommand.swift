import ArgumentParser
import StreamAccess

/// `durable-streams add-secret`
struct AddSecretCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add-secret",
        abstract: "Give a project one more secret, and show it, once.",
        discussion: """
            Tokens signed with any secret of the project are good, and the command token signs with the newest. To \
            replace a secret: add one, give it to those who sign tokens, and remove the old one once the tokens signed \
            with it have expired.

            Example: durable-streams add-secret shop
            """)

    @Argument(help: "The project.")
    var project: String

    @Flag(
        help: "Go on although secrets.key is lost; secrets of the project that it does not open are removed.")
    var lostKey = false

    @OptionGroup var options: AccessOptions

    func run() {
        options.administer(forgivesLostKey: lostKey) { (administration) throws(AccessError) in
            options.answer(try administration.addSecret(to: project), happened: "added to project \(project)")
            return 0
        }
    }
}
