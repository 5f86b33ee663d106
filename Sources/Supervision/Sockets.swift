import Glibc
import ServerSettings

/// The listening sockets of the parts that a server runs.
struct Sockets {
    let worker: ListeningSocket?
    let live: ListeningSocket?

    init(
        _ layout: DataDirectoryLayout, _ parts: ServerParts, _ passed: PassedSockets, group: gid_t?
    ) throws(SupervisionError) {
        worker =
            parts.runsPool
            ? try ListeningSocket(
                path: layout.workerSocket, group: group, passed: passed.descriptor(PassedSockets.worker))
            : nil
        live =
            parts.runsLive
            ? try ListeningSocket(
                path: layout.liveSocket, group: group, passed: passed.descriptor(PassedSockets.live)) : nil
    }

    /// Goes on with those of the program before this one.
    init(_ layout: DataDirectoryLayout, adopting descriptors: Resumption.Descriptors) {
        worker =
            descriptors.worker < 0
            ? nil
            : ListeningSocket(
                adopting: descriptors.worker, path: layout.workerSocket, isPassed: descriptors.isWorkerPassed)
        live =
            descriptors.live < 0
            ? nil
            : ListeningSocket(
                adopting: descriptors.live, path: layout.liveSocket, isPassed: descriptors.isLivePassed)
    }

    /// Removes the files of those that were made here.
    func remove() {
        worker?.remove()
        live?.remove()
    }
}
