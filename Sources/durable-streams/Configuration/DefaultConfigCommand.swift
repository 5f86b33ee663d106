import ArgumentParser
import Glibc
import ServerSettings

/// `durable-streams default-config`
struct DefaultConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "default-config",
        abstract: "Print a settings file with every setting, its default and what it is for.",
        discussion: "Example: durable-streams default-config > /etc/durable-streams.yaml")

    func run() {
        Output.write(DefaultConfiguration.text)
    }
}
