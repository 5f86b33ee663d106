import CLinux
import Glibc
import LiveTransport
import NIOCore
import ServerProcess
import StreamService
import StreamStore

// The live process: serves long-polls and event streams, and hears from the workers what has changed.

let process = ServerProcess(name: "live")

/// A listening socket that nginx's group may use.
func listen(_ path: String) -> Int32 {
    let descriptor = ds_listen_unix(path, 0o660, 4_096)
    if descriptor < 0 { process.fail(71, "listen on \(path): \(String(cString: strerror(errno)))") }
    return descriptor
}

do {
    // Live readers renew the windows of streams with a TTL: those writes go through a committer of ours.
    let committer = try process.openCommitter { _ in }
    let settings = process.settings
    let server = try LiveServer(
        liveSocket: listen(process.layout.liveSocket), wakeSocket: listen(process.layout.wakeSocket),
        loops: 1, reads: LiveReads(process.makeService(committer)), files: process.files,
        options: LiveOptions(
            longPollTimeout: .nanoseconds(Int64(settings.longPollTimeout * 1e9)),
            eventLifetime: .nanoseconds(Int64(settings.sseLifetime * 1e9)),
            keepAlive: .nanoseconds(Int64(settings.sseKeepAlive * 1e9))),
        log: process.log)
    process.waitForTermination()
    try server.stop()
    committer.stop()
} catch let error as StoreError {
    process.fail(error)
} catch {
    process.fail(74, "\(error)")
}
