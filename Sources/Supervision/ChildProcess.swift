import Glibc

/// A process that the supervisor started, in a process group of its own: the terminal's Ctrl-C reaches the
/// supervisor alone, which then stops the others in order.
struct ChildProcess: Equatable {
    let identifier: pid_t

    /// Starts a program that the kernel ends with `SIGTERM` when the calling thread ends. Call it from the main
    /// thread only.
    ///
    /// - Parameters:
    ///   - supervisor: path of this executable, whose hidden `exec-bound` command starts the program.
    ///   - arguments: the program's absolute path and its arguments.
    ///   - descriptors: become descriptors 3, 4, … of the program.
    ///   - standardError: takes what it writes there; nil: this process's own.
    static func start(
        supervisor: String, arguments: [String], environment: [String: String], descriptors: [Int32] = [],
        standardError: Int32? = nil
    ) throws(SupervisionError) -> ChildProcess {
        let parent = "\(getpid())"
        return try spawn(
            [supervisor, BoundExecution.commandName, "--parent", parent, "--"] + arguments,
            environment: environment, descriptors: descriptors, standardError: standardError)
    }

    /// Starts a program without binding its life to the caller's.
    ///
    /// - Parameter standardError: takes what it writes there; nil: this process's own.
    static func spawn(
        _ arguments: [String], environment: [String: String], descriptors: [Int32] = [],
        standardError: Int32? = nil
    ) throws(SupervisionError) -> ChildProcess {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // A process group that is not the terminal's can't read from it.
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        // Copies above all numbers that they get, so that none is overwritten before its turn.
        let copies = descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 3 + Int32(descriptors.count)) }
        defer { for copy in copies where copy >= 0 { close(copy) } }
        guard !copies.contains(-1) else { throw .system("copying a descriptor", code: errno) }
        for (number, copy) in copies.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, copy, 3 + Int32(number))
        }
        if let standardError { posix_spawn_file_actions_adddup2(&actions, standardError, STDERR_FILENO) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP
        posix_spawnattr_setflags(&attributes, Int16(flags))

        var argumentPointers = arguments.map { strdup($0) } + [nil]
        var environmentPointers = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer {
            for pointer in argumentPointers + environmentPointers { free(pointer) }
        }
        var identifier: pid_t = 0
        let code = posix_spawn(
            &identifier, arguments[0], &actions, &attributes, &argumentPointers, &environmentPointers)
        guard code == 0 else { throw .system("starting \(arguments[0])", code: code) }
        return ChildProcess(identifier: identifier)
    }

    /// Sends a signal to the process alone.
    func signal(_ number: Int32) { kill(identifier, number) }

    /// Sends a signal to the process and everything it started.
    func signalGroup(_ number: Int32) { kill(-identifier, number) }
}

/// How a process ended.
enum ExitReason: Equatable, CustomStringConvertible {
    case status(Int32)
    case signal(Int32)

    /// - Parameter waitStatus: the status word of `waitpid`; its macros are not visible in Swift.
    init(waitStatus: Int32) {
        let signal = waitStatus & 0x7F
        self = signal == 0 ? .status((waitStatus >> 8) & 0xFF) : .signal(signal)
    }

    var description: String {
        switch self {
        case .status(let status): "ended with status \(status)"
        case .signal(let number): "was ended by signal \(number) (\(String(cString: strsignal(number))))"
        }
    }
}
