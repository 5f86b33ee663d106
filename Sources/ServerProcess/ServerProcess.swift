import CLinux
import Glibc
import Logging
import OperatorLog
import ServerSettings
import StreamAccess
import StreamService
import StreamStore
import Telemetry

/// What the worker and the live process share: how they begin, fail, and learn that it is time to end.
public struct ServerProcess: Sendable {
    /// The settings, as the supervisor resolved them.
    public let settings: Settings
    /// Where everything lies.
    public let layout: DataDirectoryLayout
    /// Where the store's files lie.
    public let files: StoreFiles
    /// Writes to standard error.
    public let log: Logger
    /// Counts what it does.
    public let telemetry: Telemetry
    /// What ``log`` writes with.
    let lines: OperatorLog
    /// Whether there is room for more.
    public let space: DiskSpace
    private let failures: FailureLog

    /// The supervisor hands the listening socket over as this descriptor, so that connections wait there while a
    /// process is restarted.
    public static let listenDescriptor: Int32 = 3

    /// Begins a process: it ends with its supervisor, reads its settings from the environment, and leaves
    /// SIGTERM, SIGINT and SIGUSR2 to `waitForEnding`.
    ///
    /// - Parameter role: as what it appears in the table of processes; its number is that of `--worker-number`.
    public init(name: String, role: ProcessRole) {
        _ = ds_die_with_parent(SIGTERM)
        do throws(SettingsError) {
            settings = try Settings.load(arguments: [], environment: ServerProcess.environment)
        } catch {
            ServerProcess.fail(OperatorLog(process: name, format: .text), 78, "\(error)")
        }
        layout = settings.layout
        files = StoreFiles(folder: layout.dataDirectory, segments: layout.segmentsDirectory)
        let lines = OperatorLog(process: name, format: settings.logFormat, level: settings.logLevel)
        self.lines = lines
        let log = Logger(label: name, factory: { _ in ProcessLogHandler(lines) })
        self.log = log
        telemetry = Telemetry(
            path: layout.telemetry, role: role, number: ServerProcess.number, version: ServerVersion.current)
        failures = FailureLog(log, telemetry)
        space = DiskSpace(folder: layout.dataDirectory, highWater: settings.diskHighWater) {
            [log] isLow, line in
            if isLow { log.error("\(line)") } else { log.notice("\(line)") }
        }
        // Threads inherit the block; one of them waits for the signals.
        var signals = ServerProcess.endingSignals
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        signal(SIGPIPE, SIG_IGN)
        // Each connection is a descriptor: take what the system allows.
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// Opens the store for writing.
    ///
    /// - Parameter committed: hears of the streams that each commit has changed.
    public func openCommitter(
        committed: @escaping @Sendable ([StreamChange]) -> Void
    ) throws(StoreError) -> GroupCommitter {
        // Beside processes of another version the store stays as it is: they would not know what it became.
        if ServerProcess.argument("--joins") != nil { try StoreCheck.requireCurrent(files) }
        let (log, failures, telemetry) = (log, failures, telemetry)
        var hooks = GroupCommitter.Hooks(
            committed: committed,
            poisoned: { error in
                log.critical("\(error): this process ends; its successor reads the log anew")
                _exit(70)
            },
            failed: failures.report)
        hooks.grouped = { telemetry.count($0) }
        hooks.queued = { requests, bytes in
            telemetry.set(.commitQueueRequests, Int64(requests))
            telemetry.set(.commitQueueBytes, Int64(bytes))
        }
        let overload = OverloadLog(log)
        hooks.refused = { report in
            telemetry.add(.refusedBusy)
            overload.report(report)
        }
        let limits = QueueLimits(
            requests: settings.queueRequests, bytes: settings.queueBytes,
            wait: Int64(settings.queueMilliseconds) * 1_000_000)
        return try GroupCommitter(files, space: space, limits: limits, hooks: hooks)
    }

    /// What is kept of streams that ask for nothing else.
    public var retention: Retention {
        Retention(
            age: Int64(settings.retentionAge), bytes: Int64(settings.retentionBytes),
            messages: Int64(settings.retentionMessages))
    }

    /// Who may do what, by the registry of projects. The store must have been opened for writing before.
    public func openAccess() throws(StoreError) -> AccessControl {
        let key: SecretsKey
        do throws(AccessError) {
            key = try SecretsKey.load(path: files.secretsKey)
        } catch {
            fail(78, error.description)
        }
        let mode: AccessMode =
            switch settings.auth {
            case .none: .none
            case .projectJWT: .projectJWT
            case .delegate: .delegate
            }
        let registry = try ProjectRegistry(files, key: key) { [log] in log.error("\($0)") }
        return AccessControl(mode: mode, registry: registry, key: key)
    }

    /// Whether the live process takes requests: it makes this socket itself, and only when it does.
    var othersAreReady: @Sendable () -> Bool {
        { [wakeSocket = layout.wakeSocket] in
            let descriptor = ds_connect_unix(wakeSocket)
            guard descriptor >= 0 else { return false }
            close(descriptor)
            return true
        }
    }

    /// The service over a committer.
    public func makeService(_ committer: GroupCommitter, _ access: AccessControl) -> StreamService {
        let (failures, space, refusals) = (failures, space, RefusalLog(log))
        var options = StreamService.Options(
            maximumBody: settings.maxBodyBytes, readChunk: settings.readChunkBytes,
            publicURL: settings.publicURL, retention: retention, access: access,
            clock: ServerProcess.milliseconds, proxyClock: ServerProcess.unmovedMilliseconds,
            othersAreReady: othersAreReady,
            hasRoomForCopies: { space.hasRoomForCopies }, failed: failures.report,
            refused: refusals.report)
        options.workers = settings.workers
        options.writeFailed = failures.reportWrite
        return StreamService(options: options, committer: committer)
    }

    /// Ends the process with one line on standard error.
    public func fail(_ error: StoreError) -> Never {
        ServerProcess.fail(lines, error.kind == .newerSchema ? 78 : 74, error.description)
    }

    /// Ends the process with one line on standard error.
    public func fail(_ status: Int32, _ message: String) -> Never {
        ServerProcess.fail(lines, status, message)
    }

    private static func fail(_ log: OperatorLog, _ status: Int32, _ message: String) -> Never {
        log.write(.critical, message)
        exit(status)
    }

    /// Milliseconds since 1970, as moved by a test.
    public static func milliseconds() -> Int64 { unmovedMilliseconds() + TestHooks.clockOffset }

    /// Milliseconds since 1970, as nginx knows them.
    public static func unmovedMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// What follows `--worker-number`; 0 without it.
    private static var number: Int { max(0, argument("--worker-number").map { Int($0) } ?? 0) }

    private static var environment: [String: String] {
        var variables: [String: String] = [:]
        var entry = Glibc.environ
        while let pointer = entry.pointee {
            let text = String(cString: pointer)
            if let equals = text.firstIndex(of: "=") {
                variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            entry += 1
        }
        return variables
    }
}
