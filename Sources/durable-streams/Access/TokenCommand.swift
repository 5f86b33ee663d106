import ArgumentParser
import Glibc
import StreamAccess
import StreamProtocol
import StreamStore
import Supervision

/// `durable-streams token`
struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Sign a token for a project with its newest secret.",
        discussion: """
            The token is a JWT (HS256) for the header `Authorization: Bearer TOKEN`. write includes read; manage \
            includes both, and listing.

            Example: TOKEN=$(durable-streams token shop --scope read --stream-id 'rooms/*' --expires-in 600)
            """)

    /// A hundred years.
    private static let longestLife: Int64 = 3_153_600_000

    @Argument(help: "The project.")
    var project: String

    @Option(help: "What the token allows: read, write or manage. May be given more than once.")
    var scope: [TokenScopeArgument]

    @Option(help: ArgumentHelp("For how long the token is good.", valueName: "seconds"))
    var expiresIn = CountArgument(3_600)

    @Option(
        help: ArgumentHelp(
            "The only stream that the token is good for, by its path below /stream/; with /* at its end: all below.",
            valueName: "path"))
    var streamID: String?

    @OptionGroup var options: AccessOptions

    func validate() throws {
        guard (1...TokenCommand.longestLife).contains(expiresIn.value) else {
            throw ValidationError("--expires-in takes seconds from 1 to \(TokenCommand.longestLife).")
        }
    }

    func run() {
        options.administer { (administration) throws(AccessError) in
            let now = TokenCommand.now
            let expires = now + expiresIn.value
            let token = try administration.mint(
                TokenClaims(
                    subject: project, scope: scope.reduce(into: TokenScope()) { $0.formUnion($1.scope) },
                    expires: expires * 1_000, issuedAt: now * 1_000, streamID: streamID))
            options.answer([
                "project": .string(project), "token": .string(token), "expires_at": .number(expires),
            ]) {
                Console.note("good until \(Timestamp.text(milliseconds: expires * 1_000))")
                Console.output(token)
            }
            return 0
        }
    }

    /// The server's idea of the time, in whole seconds since 1970.
    private static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) + TestHooks.clockOffset / 1_000
    }
}
