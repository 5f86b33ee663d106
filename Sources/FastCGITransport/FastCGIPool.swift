import CFastCGI
import CLinux
import Glibc
import Logging
import StreamProtocol
import StreamService
import StreamStore

/// Serves FastCGI connections on a few threads: a connection never owns a thread, so a handful of them
/// serve as many connections as nginx keeps open.
///
/// libfcgi is driven by readiness: epoll (one-shot) says that a request is coming in, a reader thread
/// takes it off the socket whole, and whoever answers it arms the descriptor again.
public final class FastCGIPool: Sendable {
    private let listener: Int32
    private let events: Int32
    private let stopEvent: Int32
    private let service: StreamService
    private let maximumBody: Int
    private let files: StoreFiles
    private let log: Logger
    private let connections = Condition(Connections())

    private struct Connections {
        /// By token: a number that is never used again, since a closed descriptor's number soon is.
        var open: [UInt64: FastCGIConnection] = [:]
        var nextToken: UInt64 = 1 << 32
        var busy = 0
        var stopping = false
    }

    /// Longest wait for a slow peer in the middle of a request, in seconds. nginx sends whole requests at
    /// once; anything slower on the socket is not nginx.
    private static let receiveTimeout = 5

    /// Serves what arrives on a listening Unix socket, which stays open.
    ///
    /// - Parameter maximumBody: most bytes of a request body.
    public init?(
        listener: Int32, service: StreamService, files: StoreFiles, maximumBody: Int, log: Logger
    ) {
        self.listener = listener
        self.service = service
        self.files = files
        self.maximumBody = maximumBody
        self.log = log
        events = epoll_create1(Int32(EPOLL_CLOEXEC))
        stopEvent = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard events >= 0, stopEvent >= 0, FCGX_Init() == 0 else { return nil }
        let flags = fcntl(listener, F_GETFL)
        guard flags >= 0, fcntl(listener, F_SETFL, flags | O_NONBLOCK) == 0 else { return nil }
        // Several processes wait on the same socket: wake one of them, not all (epoll_ctl(2)).
        watch(listener, EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue, token: UInt64(listener), add: true)
        watch(stopEvent, EPOLLIN.rawValue, token: UInt64(stopEvent), add: true)
    }

    deinit {
        close(events)
        close(stopEvent)
    }

    /// Serves on `threads` threads until `stop`; returns when all requests in hand are answered.
    public func run(threads: Int) {
        let readers = (0..<max(1, threads)).map { number in
            NamedThread("fastcgi-\(number)") { [self] in serve() }
        }
        for reader in readers { reader.join() }
        let log = log
        let finished = connections.wait(timeout: 5_000) { $0.busy == 0 ? true : nil } ?? false
        if !finished {
            log.warning("stopped with requests in hand: the committing thread did not answer them")
        }
    }

    /// Takes no new requests and lets `run` return; from any thread.
    public func stop() {
        connections.update { connections in
            connections.stopping = true
            return (true, ())
        }
        var one: UInt64 = 1
        write(stopEvent, &one, 8)
    }

    // MARK: Reader threads

    private func serve() {
        let reader: StoreReader
        do throws(StoreError) { reader = try StoreReader(files) } catch {
            log.critical("\(error)")
            stop()
            return
        }
        var ready = [epoll_event](repeating: epoll_event(), count: 16)
        while true {
            let count = epoll_wait(events, &ready, Int32(ready.count), -1)
            if count < 0, errno != EINTR { return }
            for index in 0..<max(0, Int(count)) {
                switch ready[index].data.u64 {
                case UInt64(stopEvent): return
                case UInt64(listener): accept()
                case let token: receive(token, reader)
                }
            }
        }
    }

    private func accept() {
        while true {
            let descriptor = ds_accept(listener)
            guard descriptor >= 0 else {
                if errno == EMFILE || errno == ENFILE {
                    log.error("out of descriptors: raise the limit of open files (ulimit -n)")
                }
                return
            }
            var timeout = timeval(tv_sec: FastCGIPool.receiveTimeout, tv_usec: 0)
            for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
                setsockopt(descriptor, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
            }
            guard let connection = FastCGIConnection(descriptor: descriptor) else {
                close(descriptor)
                continue
            }
            let token = connections.update { connections in
                let token = connections.nextToken
                connections.nextToken += 1
                connections.open[token] = connection
                return (false, token)
            }
            watch(descriptor, FastCGIPool.oneShot, token: token, add: true)
        }
    }

    private func receive(_ token: UInt64, _ reader: StoreReader) {
        let connection = connections.update { connections in
            connections.busy += 1
            return (false, connections.open[token])
        }
        guard let connection else {
            finished()
            return
        }
        guard connection.receive() else {
            drop(token)
            finished()
            return
        }
        let request = FastCGIRequest.read(connection, maximumBody: maximumBody)
        service.handle(request, reader: reader) { [self] response in
            connection.send(response)
            if connection.descriptor >= 0 {
                watch(connection.descriptor, FastCGIPool.oneShot, token: token, add: false)
            } else {
                drop(token)
            }
            finished()
        }
    }

    private func finished() {
        connections.update { connections in
            connections.busy -= 1
            return (connections.stopping && connections.busy == 0, ())
        }
    }

    private func drop(_ token: UInt64) {
        _ = connections.update { connections in
            (false, connections.open.removeValue(forKey: token))
        }
    }

    private static var oneShot: UInt32 { EPOLLIN.rawValue | EPOLLRDHUP.rawValue | EPOLLONESHOT.rawValue }

    private func watch(_ descriptor: Int32, _ interest: UInt32, token: UInt64, add: Bool) {
        var event = epoll_event()
        event.events = interest
        event.data.u64 = token
        epoll_ctl(events, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event)
    }
}
