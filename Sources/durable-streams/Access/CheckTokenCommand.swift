import ArgumentParser
import StreamAccess
import StreamProtocol
import Supervision

/// `durable-streams check-token`
struct CheckTokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-token",
        abstract: "Say whether a token is good now, and what is wrong with it otherwise.",
        discussion: """
            The server itself never says why it refuses a token, except in its log. With - the token is read from \
            standard input, and stays out of the shell's history. Exit status 1: the token is not good.

            Example: echo "$TOKEN" | durable-streams check-token - --project shop
            """)

    @Argument(help: "The token, or - to read it from standard input.")
    var token: String

    @Option(help: "The project that it has to be good for. Default: the one that it names itself.")
    var project: String?

    @OptionGroup var options: AccessOptions

    func run() {
        let token = token == "-" ? CheckTokenCommand.tokenFromInput() : token
        options.administer { (administration) throws(AccessError) in
            let report = try administration.check(token, project: project)
            options.answer(report.json) { Console.output(report.line) }
            return report.problem == nil ? 0 : Command.findingsStatus
        }
    }

    /// The first line of standard input, without white space around it.
    private static func tokenFromInput() -> String {
        let line = (readLine() ?? "").drop(while: \.isWhitespace)
        return String(line.reversed().drop(while: \.isWhitespace).reversed())
    }
}

extension TokenReport {
    fileprivate var json: JSONValue {
        [
            "valid": .flag(problem == nil),
            "problem": .string(problem),
            "claims": claims.map { .text($0.json) } ?? .null,
            "secret_id": .number(secretID),
        ]
    }

    fileprivate var line: String {
        if let problem { return "not valid: \(problem)" }
        guard let claims else { return "valid" }
        return "valid: \(claims.line)" + (secretID.map { ", signed with secret \($0)" } ?? "")
    }
}

extension TokenClaims {
    fileprivate var line: String {
        let streams = streamID.map { "stream \($0.debugDescription)" } ?? "all streams"
        return "\(scope.text) for \(streams) of project \(subject.debugDescription) "
            + "until \(Timestamp.text(milliseconds: expires))"
    }
}
