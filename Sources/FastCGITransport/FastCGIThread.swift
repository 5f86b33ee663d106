import CLinux
import Glibc
import Logging
import StreamAdmin
import StreamService
import StreamStore
import Synchronization
import Telemetry

/// One thread of the pool, with the connections that it has accepted.
///
/// libfcgi is driven by readiness: epoll says that a request is coming in, the thread takes it off the
/// socket whole and hands it to the service. What is answered at once it sends at once; what is committed
/// first comes back through the mailbox. A connection stays with its thread, so nothing about it is
/// shared, the descriptor never needs arming again, and the committing thread does nothing but commit.
///
/// `@unchecked Sendable`: all state but the mailbox is only used on the thread itself.
final class FastCGIThread: CompletionQueue, @unchecked Sendable {
    private struct Mailbox {
        var completions: [any Completion] = []
        var stopping = false
    }

    private let listener: Int32
    private let service: StreamService
    private let admin: AdminService?
    private let files: StoreFiles
    private let maximumBody: Int
    private let telemetry: Telemetry
    private let log: Logger
    private let events: Int32
    private let bell: Int32
    private let mailbox = Mutex(Mailbox())

    /// By token: a number that is never used again, since a closed descriptor's number soon is.
    private var connections: [UInt64: FastCGIConnection] = [:]
    private var nextToken: UInt64 = 1 << 32
    private var inHand = 0
    private var isStopping = false
    /// Of the finished write that is being answered.
    private var times: WriteTimes?

    /// Longest wait for a slow peer in the middle of a request, in seconds. nginx sends whole requests at
    /// once; anything slower on the socket is not nginx.
    private static let patience = 5

    init?(
        listener: Int32, service: StreamService, admin: AdminService?, files: StoreFiles, maximumBody: Int,
        telemetry: Telemetry,
        log: Logger
    ) {
        self.telemetry = telemetry
        self.listener = listener
        self.service = service
        self.admin = admin
        self.files = files
        self.maximumBody = maximumBody
        self.log = log
        events = epoll_create1(Int32(EPOLL_CLOEXEC))
        bell = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard events >= 0, bell >= 0 else { return nil }
        // Many threads and processes wait on the same listener: wake one of them, not all (epoll_ctl(2)).
        guard watch(listener, EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue, token: UInt64(listener)),
            watch(bell, EPOLLIN.rawValue | EPOLLET.rawValue, token: UInt64(bell))
        else { return nil }
    }

    deinit {
        close(events)
        close(bell)
    }

    // MARK: From other threads

    func stop() {
        mailbox.withLock { $0.stopping = true }
        ring()
    }

    func post(_ completion: any Completion) {
        let wasEmpty = mailbox.withLock { mailbox in
            mailbox.completions.append(completion)
            return mailbox.completions.count == 1
        }
        if wasEmpty { ring() }
    }

    private func ring() {
        var one: UInt64 = 1
        write(bell, &one, 8)
    }

    // MARK: On the thread

    func run() {
        let reader: StoreReader
        do throws(StoreError) { reader = try StoreReader(files) } catch {
            log.critical("\(error)")
            return
        }
        var ready = [epoll_event](repeating: epoll_event(), count: 64)
        while !(isStopping && inHand == 0) {
            let count = epoll_wait(events, &ready, Int32(ready.count), -1)
            if count < 0, errno != EINTR { return }
            for index in 0..<max(0, Int(count)) {
                switch ready[index].data.u64 {
                case UInt64(bell): openMail()
                case UInt64(listener): accept()
                case let token: receive(token, reader)
                }
            }
        }
    }

    private func openMail() {
        var count: UInt64 = 0
        read(bell, &count, 8)
        let mail = mailbox.withLock { mailbox in
            defer { mailbox.completions = [] }
            return mailbox
        }
        if mail.stopping, !isStopping {
            isStopping = true
            epoll_ctl(events, EPOLL_CTL_DEL, listener, nil)
        }
        for completion in mail.completions {
            times = completion.times
            completion.complete()
        }
        times = nil
    }

    private func accept() {
        // One at a time: the listener says so again if there are more, and other threads get their share.
        let descriptor = ds_accept(listener)
        guard descriptor >= 0 else {
            if errno == EMFILE || errno == ENFILE {
                log.error("out of descriptors: raise the limit of open files (ulimit -n)")
            }
            return
        }
        var timeout = timeval(tv_sec: FastCGIThread.patience, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
        }
        guard let connection = FastCGIConnection(descriptor: descriptor) else {
            close(descriptor)
            return
        }
        nextToken += 1
        connections[nextToken] = connection
        // Edge-triggered: one event for each request, and none again for a peer that hangs up meanwhile.
        if !watch(descriptor, EPOLLIN.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue, token: nextToken) {
            connections[nextToken] = nil
        }
    }

    private func receive(_ token: UInt64, _ reader: StoreReader) {
        guard let connection = connections[token] else { return }
        // nginx sends nothing behind a request that is not answered yet: it has hung up, as it does when its
        // client goes. The request in hand is finished all the same.
        if connection.isBusy {
            connection.hasHungUp = true
            return
        }
        connection.trace.begin()
        // nginx closes an idle connection.
        guard !isStopping, connection.receive() else {
            connections[token] = nil
            return
        }
        connection.isBusy = true
        inHand += 1
        var request = FastCGIRequest.read(connection, maximumBody: maximumBody, adminKey: admin?.key)
        request.trace = connection.trace
        if request.isAdministrators, let admin {
            connection.trace.operation = .admin
            admin.handle(request, reader: reader, completions: self) { [self] response in
                answer(token, response)
            }
            return
        }
        connection.trace.operation = request.operation
        service.handle(request, reader: reader, completions: self) { [self] response in
            answer(token, response)
        }
    }

    private func answer(_ token: UInt64, _ response: ServiceResponse) {
        guard let connection = connections[token] else { return }
        let trace = connection.trace
        if let times { trace.mark(times) }
        connection.send(response)
        trace.mark(.sent)
        count(trace.operation, response, trace.nanoseconds)
        connection.isBusy = false
        inHand -= 1
        // libfcgi has closed it unless nginx asked to keep it.
        if connection.descriptor < 0 || isStopping || connection.hasHungUp { connections[token] = nil }
    }

    private func count(_ operation: Operation, _ response: ServiceResponse, _ nanoseconds: Int64) {
        telemetry.request(operation, status: response.status, nanoseconds: nanoseconds)
        if operation == .read, response.status == 200 {
            telemetry.add(.readBytesWorker, response.body.count)
            telemetry.add(.readBytesSegments, response.fileBytes)
        } else if response.status == 507 {
            telemetry.add(.refusedNoSpace)
        }
    }

    private func watch(_ descriptor: Int32, _ interest: UInt32, token: UInt64) -> Bool {
        var event = epoll_event()
        event.events = interest
        event.data.u64 = token
        return epoll_ctl(events, EPOLL_CTL_ADD, descriptor, &event) == 0
    }
}

extension RequestTrace {
    /// Notes when the write of the request passed the committing thread.
    fileprivate func mark(_ times: WriteTimes) {
        mark(.queued, at: times.queued)
        mark(.taken, at: times.taken)
        mark(.committed, at: times.committed)
    }
}
