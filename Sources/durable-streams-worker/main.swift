import CLinux
import FastCGITransport
import Glibc
import Logging
import ServerSettings
import StreamService
import StreamStore
import WakeChannel

// The FastCGI worker: serves everything but live reads on the socket that the supervisor opened.

/// The listening socket is handed over as this descriptor.
let listenDescriptor: Int32 = 3

func milliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
}

func stop(_ status: Int32, _ message: String) -> Never {
    fputs("durable-streams-worker: \(message)\n", stderr)
    exit(status)
}

_ = ds_die_with_parent(SIGTERM)
let settings: Settings
do throws(SettingsError) {
    settings = try Settings.load(arguments: [], environment: Settings.processEnvironment())
} catch {
    stop(78, "\(error)")
}
var log = Logger(label: "worker", factory: StreamLogHandler.standardError)
log.logLevel = settings.logLevel
let layout = DataDirectoryLayout(dataDirectory: settings.dataDirectory)
let files = StoreFiles(
    hotLog: layout.hotLog, writeLock: layout.writeLockFile, choresLock: layout.choresLockFile)

// Signals are taken by one thread that waits for them; all others inherit the block.
var signals = sigset_t()
sigemptyset(&signals)
sigaddset(&signals, SIGTERM)
sigaddset(&signals, SIGINT)
pthread_sigmask(SIG_BLOCK, &signals, nil)
signal(SIGPIPE, SIG_IGN)

do throws(StoreError) {
    let wake = WakeSender(path: layout.wakeSocket)
    let logger = log
    let committer = try GroupCommitter(
        files,
        hooks: GroupCommitter.Hooks(
            committed: { wake.notify($0) },
            poisoned: { error in
                logger.critical("\(error): this worker ends; the log is read anew by its successor")
                _exit(70)
            },
            failed: { logger.error("\($0)") }))
    let service = StreamService(
        options: StreamService.Options(
            maximumBody: settings.maxBodyBytes, readChunk: settings.readChunkBytes,
            publicURL: settings.publicURL, clock: milliseconds),
        committer: committer)
    let chores = try Chores(
        files, committer: committer, sweepInterval: settings.sweepInterval, clock: milliseconds,
        report: { logger.error("\($0)") })
    guard
        let pool = FastCGIPool(
            listener: listenDescriptor, service: service, files: files, maximumBody: settings.maxBodyBytes,
            log: log)
    else {
        stop(71, "descriptor \(listenDescriptor) is no listening socket: start it with durable-streams serve")
    }
    let waiting = signals
    let signalThread = NamedThread("signals") {
        var set = waiting
        var received: Int32 = 0
        sigwait(&set, &received)
        pool.stop()
    }
    pool.run(threads: settings.workerThreads)
    chores.stop()
    committer.stop()
    wake.stop()
    withExtendedLifetime(signalThread) {}
} catch {
    stop(error.kind == .newerSchema ? 78 : 74, "\(error)")
}
