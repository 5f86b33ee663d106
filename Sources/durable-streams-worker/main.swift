import FastCGITransport
import ServerProcess
import StreamStore
import WakeChannel

// The FastCGI worker: serves everything but live reads, on the socket that the supervisor opened.

let process = ServerProcess(name: "worker", role: .worker)
do throws(StoreError) {
    let wake = WakeSender(path: process.layout.wakeSocket)
    let interest = LiveInterest(path: process.layout.liveInterest)
    let committer = try process.openCommitter { changes in
        if interest.isAnybodyWaiting { wake.notify(changes) }
    }
    let access = try process.openAccess()
    let log = process.log
    let service = process.makeService(committer, access)
    let admin = process.makeAdmin(service, access)
    process.awaitTurn()
    let chores = try Chores(
        process.files, committer: committer, sweepInterval: process.settings.sweepInterval,
        segmentLimits: SegmentLimits(
            messages: Int64(process.settings.segmentMaxMessages),
            bytes: Int64(process.settings.segmentMaxBytes)),
        retention: process.retention, clock: ServerProcess.milliseconds,
        checkpointed: { bytes in
            process.telemetry.add(.checkpoints)
            process.telemetry.set(.walUsedBytes, bytes)
        }, report: committer.report)
    let sampler = Sampler(
        process.layout, process.files, telemetry: process.telemetry, isActive: { chores.isActive },
        clock: ServerProcess.milliseconds, report: committer.report)
    var handover: ConnectionHandover?
    if let giving = ServerProcess.argument("--giving-descriptor"),
        let taking = ServerProcess.argument("--taking-descriptor")
    {
        handover = ConnectionHandover(giving: giving, taking: taking)
    }
    guard
        let pool = FastCGIPool(
            listener: ServerProcess.listenDescriptor, threads: process.settings.workerThreads,
            service: service, admin: admin, files: process.files,
            maximumBody: process.settings.maxBodyBytes, telemetry: process.telemetry, handover: handover,
            watch: process.requestWatch, log: log)
    else {
        process.fail(
            71,
            "descriptor \(ServerProcess.listenDescriptor) is no listening socket: run durable-streams serve")
    }
    process.announceServing()
    _ = NamedThread("signals") {
        while process.waitForEnding() == .drain {
            process.telemetry.setState(.draining)
            // Those who take over do the chores too, as soon as these are left alone.
            chores.stop()
            pool.drain()
        }
        process.telemetry.setState(.draining)
        pool.stop()
    }
    pool.run()
    admin?.stop()
    sampler.stop()
    chores.stop()
    committer.stop()
    wake.stop()
    access.registry?.stop()
    process.telemetry.leave()
} catch {
    process.fail(error)
}
