import Glibc
import ServerSettings

/// The listening sockets of the parts that a server runs.
struct Sockets {
    private let worker: ListeningSocket?
    private let live: ListeningSocket?

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

    var descriptors: (worker: Int32?, live: Int32?) { (worker?.descriptor, live?.descriptor) }

    /// Removes the files of those that were made here.
    func remove() {
        worker?.remove()
        live?.remove()
    }
}
