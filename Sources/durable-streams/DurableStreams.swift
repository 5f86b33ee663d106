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
            Serve.self, ReloadCommand.self, StatusCommand.self, NginxConfig.self, CheckConfigCommand.self,
            DefaultConfigCommand.self,
            BackupCommand.self, RestoreCommand.self, VerifyCommand.self, DoctorCommand.self,
            CreateProjectCommand.self, ProjectsCommand.self, AddSecretCommand.self, RemoveSecretCommand.self,
            TokenCommand.self, CheckTokenCommand.self, StreamsCommand.self, SetCORSCommand.self,
            SetQuotaCommand.self, RotateReaderKeyCommand.self,
            InspectCommand.self, CreateCommand.self, AppendCommand.self, ReadCommand.self, CloseCommand.self,
            DeleteCommand.self, CompletionsCommand.self, ManualCommand.self, ExecBound.self,
            ResumeCheckCommand.self,
        ])
}
