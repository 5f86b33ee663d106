import ArgumentParser
import StreamAccess

/// `durable-streams create-project`
struct CreateProjectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create-project",
        abstract: "Make a project, and show its first secret, once.",
        discussion: """
            Its streams are below /v1/NAME/stream/; the project _default has those below /v1/stream/. Whoever has the \
            secret can sign tokens for the project (JWT, HS256). It is stored encrypted and never shown again; \
            add-secret makes another. A running server knows the project within a second.

            Example: SECRET=$(durable-streams create-project shop)

            Exit status 73: there is such a project.
            """)

    @Argument(help: "1 to 64 letters, digits, '_', '-', '.' or '~'.")
    var name: String

    @OptionGroup var options: AccessOptions

    func run() {
        options.administer(creates: true) { (administration) throws(AccessError) in
            options.answer(try administration.create(name), happened: "made project \(name)")
            return 0
        }
    }
}
