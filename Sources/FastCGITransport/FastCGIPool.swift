import CFastCGI
import CLinux
import Glibc
import Logging
import StreamAdmin
import StreamService
import StreamStore
import Telemetry

/// Serves FastCGI connections on a few threads: a connection never owns a thread, so a handful of them
/// serve as many connections as nginx keeps open.
public final class FastCGIPool: Sendable {
    private let threads: [FastCGIThread]

    /// Serves what arrives on a listening Unix socket, which stays open.
    ///
    /// - Parameters:
    ///   - threads: how many read requests, answer reads, and send what was committed.
    ///   - admin: serves the administrator's route; nil: nobody does.
    ///   - maximumBody: most bytes of a request body.
    ///   - telemetry: counts the requests.
    ///   - handover: to and from the other workers; nil where there are none.
    ///   - watch: looks at how long they took.
    /// - Returns: nil when the descriptor is no listening socket, or the process is out of descriptors.
    public init?(
        listener: Int32, threads count: Int, service: StreamService, admin: AdminService?, files: StoreFiles,
        maximumBody: Int, telemetry: Telemetry, handover: ConnectionHandover? = nil,
        watch: RequestWatch, log: Logger
    ) {
        let flags = fcntl(listener, F_GETFL)
        guard FCGX_Init() == 0, flags >= 0, fcntl(listener, F_SETFL, flags | O_NONBLOCK) == 0 else {
            return nil
        }
        var threads: [FastCGIThread] = []
        for _ in 0..<max(1, count) {
            guard
                let thread = FastCGIThread(
                    listener: listener, service: service, admin: admin, files: files,
                    maximumBody: maximumBody, telemetry: telemetry, handover: handover,
                    watch: watch, log: log)
            else { return nil }
            threads.append(thread)
        }
        self.threads = threads
    }

    /// Serves until `stop` or `drain`; returns when all requests in hand are answered.
    public func run() {
        let running = threads.enumerated().map { number, thread in
            NamedThread("fastcgi-\(number)") { thread.run() }
        }
        for thread in running { thread.join() }
    }

    /// Takes no new requests and lets `run` return; from any thread.
    public func stop() {
        for thread in threads { thread.end(.stop) }
    }

    /// Takes no new connections, gives the others to the workers that stay, each once its request is answered, and lets
    /// `run` return; from any thread. Without a handover it is `stop`.
    public func drain() {
        for thread in threads { thread.end(.drain) }
    }
}
