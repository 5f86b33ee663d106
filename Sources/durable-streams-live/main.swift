import LiveTransport
import NIOCore
import ServerProcess
import StreamService
import StreamStore
import WakeChannel

// The live process: serves long-polls and event streams, and hears from the workers what has changed.

let process = ServerProcess(name: "live", role: .live)

do {
    // Live readers renew the windows of streams with a TTL: those writes go through a committer of ours.
    let committer = try process.openCommitter { _ in }
    let access = try process.openAccess()
    let settings = process.settings
    var options = LiveOptions(
        longPollTimeout: .nanoseconds(Int64(settings.longPollTimeout * 1e9)),
        eventLifetime: .nanoseconds(Int64(settings.sseLifetime * 1e9)),
        keepAlive: .nanoseconds(Int64(settings.sseKeepAlive * 1e9)))
    options.adminKey = process.adminKey()
    process.awaitTurn()
    let server = try LiveServer(
        liveSocket: ServerProcess.listenDescriptor, wakeSocket: process.layout.wakeSocket,
        loops: 1, reads: LiveReads(process.makeService(committer, access)), files: process.files,
        interest: LiveInterest(
            path: process.layout.liveInterest, slot: Int(ServerProcess.argument("--slot") ?? 0)),
        options: options,
        telemetry: process.telemetry, watch: process.requestWatch, log: process.log)
    process.announceServing()
    let ending = process.waitForEnding()
    process.telemetry.setState(.draining)
    if ending == .drain {
        let spread = TimeAmount.nanoseconds(Int64(settings.reloadSpread * 1e9))
        _ = NamedThread("signals") {
            while process.waitForEnding() == .drain {}
            server.endDraining()
        }
        try server.drain(over: spread)
    }
    try server.stop()
    committer.stop()
    access.registry?.stop()
    process.telemetry.leave()
} catch let error as StoreError {
    process.fail(error)
} catch {
    process.fail(74, "\(error)")
}
