import Glibc
import ServerSettings

/// Starts the processes of one generation: programs and settings of the last start or reload.
struct Launcher {
    let executables: Executables
    let nginx: Nginx?
    /// The variables of the children, with their settings.
    let environment: [String: String]
    let descriptors: Resumption.Descriptors

    init(
        settings: Settings, environment: [String: String], executables: Executables, nginx: Nginx?,
        descriptors: Resumption.Descriptors
    ) {
        self.executables = executables
        self.nginx = nginx
        self.environment = Launcher.childEnvironment(settings: settings, environment: environment)
        self.descriptors = descriptors
    }

    /// Starts a process, which waits until its channel lets it begin; nginx has none, and begins at once.
    ///
    /// - Parameters:
    ///   - slot: of a live process; no other that runs may have it.
    ///   - joins: whether others serve the data directory already.
    func start(_ role: Role, slot: Int, joins: Bool) throws(SupervisionError) -> (ChildProcess, StartChannel?)
    {
        if role == .nginx {
            return (try start(nginx?.arguments ?? [], [], standardError: descriptors.errorsWritten), nil)
        }
        let (channel, child) = try StartChannel.make()
        defer { close(child) }
        let begin =
            ["--listen-descriptor", "3", "--start-descriptor", "4"] + (joins ? ["--joins", "1"] : [])
        switch role {
        case .worker(let number):
            let arguments =
                [executables.worker, "--worker-number", "\(number)"] + begin
                + ["--giving-descriptor", "5", "--taking-descriptor", "6"]
            return (
                try start(
                    arguments, [descriptors.worker, child, descriptors.giving, descriptors.taking]), channel
            )
        case .live, .nginx:
            return (
                try start([executables.live] + begin + ["--slot", "\(slot)"], [descriptors.live, child]),
                channel
            )
        }
    }

    private func start(
        _ arguments: [String], _ descriptors: [Int32], standardError: Int32? = nil
    ) throws(SupervisionError) -> ChildProcess {
        try ChildProcess.start(
            supervisor: executables.supervisor, arguments: arguments, environment: environment,
            descriptors: descriptors, standardError: standardError)
    }

    /// libfcgi takes buffers of 8 KiB and dozens of small strings for each request, more than glibc's
    /// per-thread cache holds by default: they then go through the heap, and a free of a large one tidies it
    /// up each time (glibc manual, Memory Allocation Tunables). And glibc keeps up to 64 MiB free in each thread's heap once a
    /// large body was there, unless it is told how much: 2 MiB, which a piece of a stream comes out of again and again
    /// (128 KiB halved reads of 1 MiB). What the operator has set wins.
    private static let allocatorTuning = [
        "GLIBC_TUNABLES":
            "glibc.malloc.tcache_max=16384:glibc.malloc.tcache_count=128:"
            + "glibc.malloc.mmap_threshold=4194304:glibc.malloc.trim_threshold=2097152"
    ]

    /// The resolved settings replace every `DS_*` variable, `DS_CONFIG` too: children read no file.
    static func childEnvironment(
        settings: Settings, environment: [String: String]
    ) -> [String: String] {
        environment.filter { !$0.key.hasPrefix("DS_") && !ServiceNotifier.variables.contains($0.key) }
            .merging(settings.environment()) { _, resolved in resolved }
            .merging(allocatorTuning) { operators, _ in operators }
    }
}
