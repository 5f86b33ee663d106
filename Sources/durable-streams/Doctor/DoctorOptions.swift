import ArgumentParser

/// Where the deployment is, and with what it may be asked.
struct DoctorOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where clients reach the server, such as https://streams.example.com. Default: where the server of the data "
                + "directory listens."))
    var url: String?

    @Option(
        help:
            "A token of the project; one of scope write lets all checks be done. Others can see it in the list of processes: better DS_TOKEN."
    )
    var token: String?

    @Option(help: "The project. Default: the one that the token or the URL names, else _default.")
    var project: String?

    @Option(help: "An existing stream, by its path, for checks of reads where none can be made.")
    var stream: String?

    @Option(
        name: [.customLong("header"), .customShort("H")],
        help: "A header for each request, such as 'X-API-Key: …'. May be given several times.")
    var headers: [String] = []

    @Option(help: "The origin of a page that must be let in, such as https://app.example.com.")
    var origin: String?

    @Option(
        help:
            "The largest body that the server is to take. Default: its max_body_bytes, as far as known, else 16MiB."
    )
    var maxBody: SizeArgument?

    @Option(help: "A file of certificates (PEM) that are trusted in place of the system's.")
    var cacert: String?

    @Option(
        name: .customLong("plain-url"),
        help: "The http URL that has to lead to https. Default: the same host, when the URL is on port 443.")
    var plainURL: String?

    @Flag(help: "Leave out the checks that wait for a long-poll or a quiet event stream, up to a minute.")
    var quick = false

    @Option(help: "The server's data directory, on this machine: looks at disk, files and processes too.")
    var dataDir: String?

    @Option(help: "A settings file, as for serve.")
    var config: String?

    @Flag(help: "Answer with one JSON object on standard output.")
    var json = false

    /// The token, from wherever it was given.
    var credential: String? { token ?? Command.environment["DS_TOKEN"].flatMap { $0.isEmpty ? nil : $0 } }
}
