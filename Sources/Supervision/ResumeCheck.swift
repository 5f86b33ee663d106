import Glibc
import ServerSettings

/// Whether this program could go on with what another one runs: asked before it takes that one's place.
public enum ResumeCheck {
    /// The hidden subcommand that calls ``run(environment:)``.
    public static let commandName = "resume-check"

    /// What the other program says can't be understood.
    public static var unknown: SupervisionError {
        SupervisionError(.configuration, "this program is of a version that can't go on from there")
    }

    /// Goes through all of the start of ``Server/resume(_:arguments:commandLine:environment:)`` that can fail.
    public static func run(environment: [String: String]) throws(SupervisionError) {
        guard let resumption = environment[Resumption.variable].flatMap({ Resumption($0) }) else {
            throw unknown
        }
        var environment = environment
        environment[Resumption.variable] = nil
        _ = try Server.launcher(of: resumption, environment: environment)
    }
}
