import Glibc
import ServerSettings
import Telemetry

/// The whole server in the foreground: `durable-streams serve`.
public enum Server {
    /// Starts nginx, the workers and the live process, and keeps them running until SIGINT, SIGTERM, or SIGHUP from a terminal.
    /// SIGUSR2, or SIGHUP without a terminal, has new processes take over. Call it on the main thread, before any other
    /// thread exists.
    ///
    /// - Parameter parts: which of them; a pool and a live process on one data directory may be two servers.
    /// - Parameter arguments: the flags that the settings come from, which are read again at a reload.
    /// - Parameter environment: the variables of this process; children get them with the resolved settings as `DS_*`
    ///   in place of those given.
    /// - Parameter prepare: runs when the data directory is there and locked, before anything else works in it.
    /// - Returns: the exit status: 0, or 130 when a second signal killed everything.
    /// - Throws: ``SupervisionError`` when the server can't start. Nothing runs any more then.
    public static func serve(
        settings: Settings, parts: ServerParts, arguments: [String], environment: [String: String],
        prepare: () -> Void
    ) throws(SupervisionError) -> Int32 {
        let signals = SignalWaiter()
        Console.use(settings.logFormat)
        LogDestination.prepare()
        if parts.runsNginx { try LogDestination.check(settings.requestLog) }
        // Data is for the owner and nginx's group; sockets get their modes explicitly.
        umask(0o027)
        DescriptorLimit.raise()
        let layout = settings.layout
        let passed = try PassedSockets(environment: environment, for: parts)
        let executables = try Executables(
            settings: settings, parts: parts, searchPath: environment["PATH"] ?? "")
        try Directories.create(settings.dataDirectory)
        let lock = try DataDirectoryLock(layout, parts)
        prepare()
        if parts.runsNginx { try ListenCheck.check(settings.listen, patience: 1) }
        let account = try NginxAccount.choose(
            dataDirectory: settings.dataDirectory, nginxGroup: settings.nginxGroup)
        try Directories.prepare(layout, group: account.group)
        let memory = MemoryDirectory(layout)
        // A server that was killed has left what it knew; an nginx of the administrator's goes on using it.
        if parts.runsNginx { memory.remove() }
        if parts.runsLive { forgetReaders(layout) }
        if settings.auth == .projectJWT { try memory.create(group: account.group) }
        if let note = account.note { Console.output("note: " + note) }

        let templates = parts.runsNginx ? try NginxTemplates.find(settings: settings) : nil
        let adminKey =
            settings.admin ? try AdminFiles.prepare(layout, group: account.group, templates: templates) : nil
        var nginx: Nginx?
        if let executable = executables.nginx, let templates {
            let rendered = try Nginx.render(
                templates, executable: executable, settings: settings, account: account, adminKey: adminKey)
            // Of what nginx prints itself no line would be JSON.
            try rendered.test(
                environment: Launcher.childEnvironment(settings: settings, environment: environment),
                quotes: settings.logFormat == .json)
            nginx = rendered
        }
        let handles = try Handles(lock: lock, sockets: Sockets(layout, parts, passed, group: account.group))
        let launcher = Launcher(
            settings: settings, environment: environment, executables: executables, nginx: nginx,
            descriptors: handles.descriptors)
        let plan = ServerPlan(
            parts: parts, arguments: arguments, commandLine: CommandLine.arguments, environment: environment,
            layout: layout, account: account, supervisor: executables.supervisor,
            descriptors: handles.descriptors)
        var supervisor = Supervisor(
            family: Family(parts.roles(workers: settings.workers), launcher: launcher), settings: settings,
            plan: plan, signals: signals, notifier: ServiceNotifier(environment: environment))
        let isToRun = try supervisor.start()
        if isToRun { Console.output(supervisor.summary()) }
        return run(supervisor, isToRun: isToRun, handles)
    }

    /// Goes on with a server that the program before this one has started in this process, and with its reload.
    ///
    /// - Throws: ``SupervisionError`` when that can't be; all processes of the server end then with this one.
    public static func resume(
        _ resumption: Resumption, parts: ServerParts, arguments: [String], environment: [String: String]
    ) throws(SupervisionError) -> Int32 {
        let signals = SignalWaiter()
        let (launcher, settings) = try launcher(of: resumption, environment: environment)
        Console.use(settings.logFormat)
        let handles = Handles(settings.layout, parts, adopting: resumption.descriptors)
        Telemetry.leaveAsPredecessor(path: settings.layout.telemetry)
        let account = try NginxAccount.choose(
            dataDirectory: settings.dataDirectory, nginxGroup: settings.nginxGroup)
        let plan = ServerPlan(
            parts: parts, arguments: arguments, commandLine: CommandLine.arguments, environment: environment,
            layout: settings.layout, account: account, supervisor: launcher.executables.supervisor,
            descriptors: resumption.descriptors)
        var supervisor = Supervisor(
            family: Family(resuming: resumption.seats, launcher: launcher), settings: settings, plan: plan,
            signals: signals, notifier: ServiceNotifier(environment: environment))
        supervisor.reload = Reload(resuming: resumption)
        return run(supervisor, isToRun: true, handles)
    }

    /// What starts processes again that the program before this one has started.
    static func launcher(
        of resumption: Resumption, environment: [String: String]
    ) throws(SupervisionError) -> (Launcher, Settings) {
        let settings = try resumption.load()
        let runsNginx = resumption.seats.contains { $0.role == .nginx }
        let executables = try Executables(
            settings: settings, parts: runsNginx ? .all : .pool, searchPath: environment["PATH"] ?? "")
        let nginx = try executables.nginx.map { (executable) throws(SupervisionError) in
            try Nginx.rendered(in: settings.layout.nginxDirectory, executable: executable)
        }
        let launcher = Launcher(
            settings: settings, environment: environment, executables: executables, nginx: nginx,
            descriptors: resumption.descriptors)
        return (launcher, settings)
    }

    private static func run(
        _ started: consuming Supervisor, isToRun: Bool, _ handles: consuming Handles
    ) -> Int32 {
        var supervisor = started
        let (layout, parts) = (supervisor.plan.layout, supervisor.plan.parts)
        if isToRun { supervisor.run() }
        Console.output("stopping; a second Ctrl-C kills at once")
        let isOrderly = supervisor.stop()
        if parts.runsLive { unlink(layout.wakeSocket) }
        if parts.runsNginx { MemoryDirectory(layout).remove() }
        supervisor.leaveTable()
        handles.remove()
        return isOrderly ? 0 : 130
    }

    /// Nobody waits at the start of a server. Workers of another server may have the file mapped, so it stays.
    private static func forgetReaders(_ layout: DataDirectoryLayout) {
        let descriptor = open(layout.liveInterest, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        let zeros = [UInt8](repeating: 0, count: 64)
        _ = pwrite(descriptor, zeros, zeros.count, 0)
        close(descriptor)
    }
}
