import Glibc
import ServerSettings

/// The whole server in the foreground: `durable-streams serve`.
public enum Server {
    /// Starts nginx, the workers and the live process, and keeps them running until SIGINT, SIGTERM or SIGHUP.
    /// Call it on the main thread, before any other thread exists.
    ///
    /// - Parameter environment: the variables of this process; children get them with the resolved settings as `DS_*`
    ///   in place of those given.
    /// - Parameter prepare: runs when the data directory is there and locked, before anything else works in it.
    /// - Returns: the exit status: 0, or 130 when a second signal killed everything.
    /// - Throws: ``SupervisionError`` when the server can't start. Nothing runs any more then.
    public static func serve(
        settings: Settings, environment: [String: String], prepare: () -> Void
    ) throws(SupervisionError) -> Int32 {
        let signals = SignalWaiter()
        // Data is for the owner and nginx's group; sockets get their modes explicitly.
        umask(0o027)
        DescriptorLimit.raise()
        let layout = settings.layout
        let executables = try Executables(settings: settings, searchPath: environment["PATH"] ?? "")
        let templates = try NginxTemplates.find(settings: settings)
        try Directories.create(settings.dataDirectory)
        let lock = try DataDirectoryLock(layout)
        prepare()
        try ListenCheck.check(settings.listen, patience: 1)
        let account = try NginxAccount.choose(dataDirectory: settings.dataDirectory)
        try Directories.prepare(layout, group: account.group)
        let memory = MemoryDirectory(layout)
        // A server that was killed has left what it knew.
        memory.remove()
        if settings.auth == .projectJWT { try memory.create(group: account.group) }
        if let note = account.note { Console.output("note: " + note) }

        let nginx = try Nginx.render(
            templates, executable: executables.nginx, settings: settings, account: account)
        let childEnvironment = childEnvironment(settings: settings, environment: environment)
        try nginx.test(environment: childEnvironment)

        let workerSocket = try ListeningSocket(path: layout.workerSocket, group: account.group)
        let liveSocket = try ListeningSocket(path: layout.liveSocket, group: account.group)
        let descriptors = (worker: workerSocket.descriptor, live: liveSocket.descriptor)
        let roles = (1...settings.workers).map { Role.worker($0) } + [.live, .nginx]
        let family = Family(roles) { (role) throws(SupervisionError) in
            try start(
                role, executables: executables, nginx: nginx, environment: childEnvironment,
                listenDescriptors: descriptors)
        }
        let status = try supervise(family: family, settings: settings, signals: signals)
        withExtendedLifetime(workerSocket) {}
        withExtendedLifetime(liveSocket) {}
        for path in [layout.workerSocket, layout.liveSocket, layout.wakeSocket] { unlink(path) }
        memory.remove()
        withExtendedLifetime(lock) {}
        return status
    }

    private static func supervise(
        family: consuming Family, settings: Settings, signals: SignalWaiter
    ) throws(SupervisionError) -> Int32 {
        var supervisor = Supervisor(family: family, listen: settings.listen, signals: signals)
        if try supervisor.start() {
            Console.output(supervisor.summary(dataDirectory: settings.dataDirectory))
            supervisor.run()
        }
        Console.output("stopping; a second Ctrl-C kills at once")
        return supervisor.stop() ? 0 : 130
    }

    private static func start(
        _ role: Role, executables: Executables, nginx: Nginx, environment: [String: String],
        listenDescriptors: (worker: Int32, live: Int32)
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
        case .nginx: arguments = nginx.arguments
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
        environment.filter { !$0.key.hasPrefix("DS_") }
            .merging(settings.environment()) { _, resolved in resolved }
            .merging(allocatorTuning) { operators, _ in operators }
    }
}
