import ArgumentParser
import StreamAccess
import Supervision

/// `durable-streams set-cors`
struct SetCORSCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set-cors",
        abstract: "Say which web pages may read a project's answers, by their origins.",
        discussion: """
            The list takes the place of the one before; a new project has none, and then pages of other origins read \
            nothing. It counts in modes with authentication; without any, every page may read.

            Example: durable-streams set-cors shop https://shop.example.org http://localhost:8080
            """)

    /// Every origin.
    private static let all = "*"

    @Argument(help: "The project.")
    var project: String

    @Argument(help: "Origins, such as https://shop.example.org, or '*' alone: all of them.")
    var origins: [String] = []

    @Flag(help: "No origin at all.")
    var none = false

    @OptionGroup var options: AccessOptions

    func validate() throws {
        guard none == origins.isEmpty else {
            throw ValidationError("Give origins, '*' or --none: one of them.")
        }
        if origins == [SetCORSCommand.all] { return }
        for origin in origins where !ProjectAdministration.isOrigin(origin) || origin == SetCORSCommand.all {
            throw ValidationError(
                "\(origin.debugDescription) is no origin; give scheme, host and port as browsers send them, such as "
                    + "https://shop.example.org or http://localhost:8080, or '*' alone.")
        }
    }

    func run() {
        options.administer { (administration) throws(AccessError) in
            try administration.setOrigins(origins, of: project)
            options.answer([
                "project": .string(project), "cors": .array(origins.map { .string($0) }),
            ]) {
                Console.output(
                    "origins of project \(project): \(none ? "none" : origins.joined(separator: " "))")
            }
            return 0
        }
    }
}
