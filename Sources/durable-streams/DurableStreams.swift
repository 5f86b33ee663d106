import ArgumentParser
import ServerSettings

/// The command line. Flags of settings are not declared here: they derive from the table of settings.
@main
struct DurableStreams: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "durable-streams",
        abstract:
            "Durable Streams for nginx: a self-hosted server for durable, replayable streams over HTTP.",
        version: "durable-streams \(ServerVersion.current)",
        subcommands: [
            Serve.self, ReloadCommand.self, NginxConfig.self, BackupCommand.self, RestoreCommand.self,
            VerifyCommand.self, StatusCommand.self,
            CreateProjectCommand.self, ProjectsCommand.self, AddSecretCommand.self, RemoveSecretCommand.self,
            TokenCommand.self, CheckTokenCommand.self, StreamsCommand.self, SetCORSCommand.self,
            SetQuotaCommand.self, RotateReaderKeyCommand.self, DoctorCommand.self, ExecBound.self,
            ResumeCheckCommand.self,
        ])
}
