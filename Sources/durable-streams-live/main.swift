import CLinux
import Glibc
import LiveTransport
import Logging
import NIOCore
import ServerSettings
import StreamService
import StreamStore
import WakeChannel

// The live process: serves long-polls and event streams, and hears from the workers what has changed.

func milliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
}

func stop(_ status: Int32, _ message: String) -> Never {
    fputs("durable-streams-live: \(message)\n", stderr)
    exit(status)
}

func listen(_ path: String) -> Int32 {
    let descriptor = ds_listen_unix(path, 0o660, 4_096)
    if descriptor < 0 { stop(71, "listen on \(path): \(String(cString: strerror(errno)))") }
    return descriptor
}

_ = ds_die_with_parent(SIGTERM)
let settings: Settings
do throws(SettingsError) {
    settings = try Settings.load(arguments: [], environment: Settings.processEnvironment())
} catch {
    stop(78, "\(error)")
}
var log = Logger(label: "live", factory: StreamLogHandler.standardError)
log.logLevel = settings.logLevel
let layout = DataDirectoryLayout(dataDirectory: settings.dataDirectory)
let files = StoreFiles(
    hotLog: layout.hotLog, writeLock: layout.writeLockFile, choresLock: layout.choresLockFile)

var signals = sigset_t()
sigemptyset(&signals)
sigaddset(&signals, SIGTERM)
sigaddset(&signals, SIGINT)
pthread_sigmask(SIG_BLOCK, &signals, nil)
signal(SIGPIPE, SIG_IGN)

// Each reader is a descriptor here; take what the system allows.
var limit = rlimit()
getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
limit.rlim_cur = limit.rlim_max
setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)

do {
    let logger = log
    // Live readers renew the windows of streams with a TTL: those writes go through a committer of ours.
    let committer = try GroupCommitter(
        files,
        hooks: GroupCommitter.Hooks(
            committed: { _ in },
            poisoned: { error in
                logger.critical("\(error): the live process ends; the log is read anew by its successor")
                _exit(70)
            },
            failed: { logger.error("\($0)") }))
    let service = StreamService(
        options: StreamService.Options(
            maximumBody: settings.maxBodyBytes, readChunk: settings.readChunkBytes,
            publicURL: settings.publicURL, clock: milliseconds),
        committer: committer)
    let server = try await LiveServer(
        liveSocket: listen(layout.liveSocket), wakeSocket: listen(layout.wakeSocket),
        loops: 1, reads: LiveReads(service), files: files,
        options: LiveOptions(
            longPollTimeout: .nanoseconds(Int64(settings.longPollTimeout * 1e9)),
            eventLifetime: .nanoseconds(Int64(settings.sseLifetime * 1e9)),
            keepAlive: .nanoseconds(Int64(settings.sseKeepAlive * 1e9))),
        log: log)
    let waiting = signals
    await withCheckedContinuation { continuation in
        _ = NamedThread("signals") {
            var set = waiting
            var received: Int32 = 0
            sigwait(&set, &received)
            continuation.resume()
        }
    }
    try await server.stop()
    committer.stop()
} catch {
    stop(74, "\(error)")
}
