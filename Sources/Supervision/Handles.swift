import Glibc
import ServerSettings

/// What the supervisor holds for as long as the server runs, also when another program takes its place.
struct Handles: ~Copyable {
    private let lock: DataDirectoryLock
    private let connections: SocketPair
    private let sockets: Sockets
    private let errors: ErrorRelay

    /// Goes on from the lock.
    init(lock: consuming DataDirectoryLock, sockets: Sockets) throws(SupervisionError) {
        let errors = try ErrorRelay()
        let connections = try SocketPair()
        self.errors = errors
        self.connections = connections
        self.sockets = sockets
        self.lock = lock
    }

    /// Goes on with those of the program before this one.
    init(
        _ layout: DataDirectoryLayout, _ parts: ServerParts, adopting descriptors: Resumption.Descriptors
    ) {
        lock = DataDirectoryLock(adopting: descriptors.lock, parts)
        connections = SocketPair(adopting: descriptors.giving, descriptors.taking)
        sockets = Sockets(layout, adopting: descriptors)
        errors = ErrorRelay(reading: descriptors.errorsRead, writing: descriptors.errorsWritten)
    }

    var descriptors: Resumption.Descriptors {
        Resumption.Descriptors(
            lock: lock.descriptor, worker: sockets.worker?.descriptor ?? -1,
            live: sockets.live?.descriptor ?? -1, isWorkerPassed: sockets.worker?.isPassed ?? false,
            isLivePassed: sockets.live?.isPassed ?? false, giving: connections.giving,
            taking: connections.taking, errorsRead: errors.source, errorsWritten: errors.descriptor)
    }

    /// Removes the files of the sockets; the lock goes last.
    consuming func remove() { sockets.remove() }

    /// Has a descriptor closed in other programs that this process starts or becomes.
    static func keepFromOthers(_ descriptor: Int32) { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
}
