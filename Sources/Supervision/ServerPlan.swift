import Glibc
import ServerSettings

/// What a server is made from, when it starts and at each reload.
struct ServerPlan {
    /// What of a server it is.
    let parts: ServerParts
    /// The flags of the command.
    let arguments: [String]
    /// The whole command line.
    let commandLine: [String]
    /// The variables that the server was started with.
    let environment: [String: String]
    /// Where everything lies, which can't change while it runs.
    let layout: DataDirectoryLayout
    /// Who nginx runs as.
    let account: NginxAccount
    /// The supervisor's own program, which an upgrade may replace while it runs.
    let supervisor: String
    let descriptors: Resumption.Descriptors
    /// The roles that settings ask for, but nginx, which is never replaced.
    func replaceable(_ settings: Settings) -> [Role] {
        parts.roles(workers: settings.workers).filter { $0 != .nginx }
    }

    /// Where it is said what became of reloads.
    var stateFile: String { parts.runsPool ? layout.reloadState : layout.liveReloadState }

    /// Reads the settings anew.
    ///
    /// - Throws: `configuration` for settings that can't be, or not while the server runs.
    func load(running: Settings) throws(SupervisionError) -> Settings {
        let settings: Settings
        do throws(SettingsError) {
            settings = try Settings.load(arguments: arguments, environment: environment)
            try settings.checkAccess()
        } catch {
            throw SupervisionError(.configuration, error.description)
        }
        guard settings.dataDirectory == layout.dataDirectory else {
            throw SupervisionError(
                .configuration,
                "data_dir: \(settings.dataDirectory) instead of \(layout.dataDirectory) needs a restart")
        }
        guard settings.nginxPath == running.nginxPath else {
            throw SupervisionError(
                .configuration,
                "nginx_path: \(settings.nginxPath) instead of \(running.nginxPath) needs a restart")
        }
        if parts.runsNginx, settings.listen != running.listen {
            try ListenCheck.check(settings.listen, patience: 0)
        }
        return settings
    }

    /// Finds the programs, and renders nginx's files beside a running nginx, if it is ours.
    func prepare(_ settings: Settings) throws(SupervisionError) -> (Launcher, NginxFiles?) {
        let executables = try Executables(
            settings: settings, parts: parts, searchPath: environment["PATH"] ?? "", supervisor: supervisor)
        if settings.auth == .projectJWT { try MemoryDirectory(layout).create(group: account.group) }
        func launcher(_ nginx: Nginx?) -> Launcher {
            Launcher(
                settings: settings, environment: environment, executables: executables, nginx: nginx,
                descriptors: descriptors)
        }
        let templates =
            parts.runsNginx ? try NginxTemplates.find(settings: settings, executable: supervisor) : nil
        let adminKey =
            settings.admin ? try AdminFiles.prepare(layout, group: account.group, templates: templates) : nil
        guard let executable = executables.nginx, let templates else { return (launcher(nil), nil) }
        let placeholders = NginxPlaceholders.values(
            settings: settings, configurationDirectory: layout.nginxDirectory, user: account.directive,
            adminKey: adminKey)
        let files = try NginxFiles(
            templates.rendered(placeholders: placeholders, for: settings.auth, admin: settings.admin),
            without: templates.obsolete(for: settings.auth, admin: settings.admin), in: layout.nginxDirectory)
        do throws(SupervisionError) {
            let nginx = try Nginx.rendered(in: layout.nginxDirectory, executable: executable)
            let launcher = launcher(nginx)
            if files.isChanged { try nginx.test(environment: launcher.environment, quotes: true) }
            return (launcher, files)
        } catch {
            files.putBack()
            throw error
        }
    }

    /// Becomes the program that lies at the path of this one now; an upgrade may have put it there. All that runs goes on.
    ///
    /// - Throws: when that program does not understand what it would have to go on with; it returns only by throwing.
    func replaceProgram(_ resumption: Resumption) throws(SupervisionError) -> Never {
        let variables = environment.merging([Resumption.variable: resumption.text]) { _, new in new }
        let check = [supervisor, ResumeCheck.commandName]
        let (reason, said) = try ShortCommand.run(check, environment: variables, quotes: true)
        guard reason == .status(0) else {
            let detail = said.split(separator: "\n").first.map { ": \($0)" } ?? ""
            throw SupervisionError(
                .unavailable, "\(supervisor) can't take this server over: its check \(reason)\(detail)")
        }
        var arguments = commandLine.map { strdup($0) } + [nil]
        var texts = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        for descriptor in descriptors.all { _ = fcntl(descriptor, F_SETFD, 0) }
        execve(supervisor, &arguments, &texts)
        let code = errno
        for descriptor in descriptors.all { Handles.keepFromOthers(descriptor) }
        for text in arguments + texts { free(text) }
        throw .system("running \(supervisor)", code: code)
    }
}
