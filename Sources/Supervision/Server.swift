import Glibc
import ServerSettings
import Telemetry

/// The whole server in the foreground: `durable-streams serve`.
public enum Server {
    /// Starts nginx, the workers and the live process, and keeps them running until SIGINT, SIGTERM or SIGHUP.
    /// Call it on the main thread, before any other thread exists.
    ///
    /// - Parameter parts: which of them; a pool and a live process on one data directory may be two servers.
    /// - Parameter environment: the variables of this process; children get them with the resolved settings as `DS_*`
    ///   in place of those given.
    /// - Parameter prepare: runs when the data directory is there and locked, before anything else works in it.
    /// - Returns: the exit status: 0, or 130 when a second signal killed everything.
    /// - Throws: ``SupervisionError`` when the server can't start. Nothing runs any more then.
    public static func serve(
        settings: Settings, parts: ServerParts, environment: [String: String], prepare: () -> Void
    ) throws(SupervisionError) -> Int32 {
        let signals = SignalWaiter()
        // Data is for the owner and nginx's group; sockets get their modes explicitly.
        umask(0o027)
        DescriptorLimit.raise()
        let layout = settings.layout
        let notifier = ServiceNotifier(environment: environment)
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
        if settings.auth == .projectJWT { try memory.create(group: account.group) }
        if let note = account.note { Console.output("note: " + note) }

        let childEnvironment = childEnvironment(settings: settings, environment: environment)
        let templates = parts.runsNginx ? try NginxTemplates.find(settings: settings) : nil
        let adminKey =
            settings.admin ? try AdminFiles.prepare(layout, group: account.group, templates: templates) : nil
        var nginx: Nginx?
        if let executable = executables.nginx, let templates {
            let rendered = try Nginx.render(
                templates, executable: executable, settings: settings, account: account, adminKey: adminKey)
            try rendered.test(environment: childEnvironment)
            nginx = rendered
        }
        let sockets = try Sockets(layout, parts, passed, group: account.group)
        let listenDescriptors = sockets.descriptors
        let family = Family(parts.roles(workers: settings.workers)) {
            [nginx] (role) throws(SupervisionError) in
            try start(
                role, executables: executables, nginx: nginx, environment: childEnvironment,
                listenDescriptors: listenDescriptors)
        }
        let supervisor = Supervisor(
            family: family, parts: parts, settings: settings, signals: signals, notifier: notifier)
        let telemetry = Telemetry(
            path: layout.telemetry, role: .supervisor, number: 0, version: ServerVersion.current)
        telemetry.set(.expectedWorkers, parts.runsPool ? Int64(settings.workers) : 0)
        telemetry.set(.expectedLive, parts.runsLive ? 1 : 0)
        let status = try supervise(supervisor, settings: settings)
        sockets.remove()
        if parts.runsLive { unlink(layout.wakeSocket) }
        if parts.runsNginx { memory.remove() }
        telemetry.leave()
        withExtendedLifetime(lock) {}
        return status
    }

    private static func supervise(
        _ started: consuming Supervisor, settings: Settings
    ) throws(SupervisionError) -> Int32 {
        var supervisor = started
        if try supervisor.start() {
            Console.output(supervisor.summary(settings))
            supervisor.run()
        }
        Console.output("stopping; a second Ctrl-C kills at once")
        return supervisor.stop() ? 0 : 130
    }

    private static func start(
        _ role: Role, executables: Executables, nginx: Nginx?, environment: [String: String],
        listenDescriptors: (worker: Int32?, live: Int32?)
    ) throws(SupervisionError) -> ChildProcess {
        let arguments: [String]
        var listenDescriptor: Int32?
        switch role {
        case .worker(let number):
            arguments = [executables.worker, "--listen-descriptor", "3", "--worker-number", "\(number)"]
            listenDescriptor = listenDescriptors.worker
        case .live:
            arguments = [executables.live, "--listen-descriptor", "3"]
            listenDescriptor = listenDescriptors.live
        case .nginx: arguments = nginx?.arguments ?? []
        }
        return try ChildProcess.start(
            supervisor: executables.supervisor, arguments: arguments, environment: environment,
            listenDescriptor: listenDescriptor)
    }

    /// libfcgi takes buffers of 8 KiB and dozens of small strings for each request, more than glibc's
    /// per-thread cache holds by default: they then go through the heap, and a free of a large one tidies it
    /// up each time (glibc manual, Memory Allocation Tunables). What the operator has set wins.
    private static let allocatorTuning = [
        "GLIBC_TUNABLES": "glibc.malloc.tcache_max=16384:glibc.malloc.tcache_count=128"
    ]

    /// The resolved settings replace every `DS_*` variable, `DS_CONFIG` too: children read no file.
    static func childEnvironment(settings: Settings, environment: [String: String]) -> [String: String] {
        environment.filter { !$0.key.hasPrefix("DS_") && !ServiceNotifier.variables.contains($0.key) }
            .merging(settings.environment()) { _, resolved in resolved }
            .merging(allocatorTuning) { operators, _ in operators }
    }
}
