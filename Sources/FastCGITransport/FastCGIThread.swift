import CLinux
import Glibc
import Logging
import StreamAdmin
import StreamProtocol
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
    /// How a thread comes to its end.
    enum Ending {
        /// Connections are closed.
        case stop
        /// Connections are given to other workers.
        case drain
    }

    private struct Mailbox {
        var completions: [any Completion] = []
        var ending: Ending?
    }

    private let listener: Int32
    private let service: StreamService
    private let admin: AdminService?
    private let files: StoreFiles
    private let maximumBody: Int
    private let telemetry: Telemetry
    private let handover: ConnectionHandover?
    private let requestWatch: RequestWatch
    private let log: Logger
    private let events: Int32
    private let bell: Int32
    private let mailbox = Mutex(Mailbox())

    private var connections = ConnectionTable()
    private var inHand = 0
    private var ending: Ending?
    /// Connections that the way to the other workers didn't take yet.
    private var leaving: [Int32] = []
    /// When the operator heard last that descriptors ran out.
    private var toldOfDescriptors: ContinuousClock.Instant?
    /// Of the finished write that is being answered.
    private var times: WriteTimes?

    /// Milliseconds until those are tried again.
    private static let retryInterval: Int32 = 2

    /// Longest wait for a slow peer in the middle of a request, in seconds. nginx sends whole requests at
    /// once; anything slower on the socket is not nginx.
    private static let patience = 5

    init?(
        listener: Int32, service: StreamService, admin: AdminService?, files: StoreFiles, maximumBody: Int,
        telemetry: Telemetry, handover: ConnectionHandover?, watch: RequestWatch, log: Logger
    ) {
        self.telemetry = telemetry
        self.handover = handover
        requestWatch = watch
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
        guard self.watch(listener, EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue, token: UInt64(listener)),
            self.watch(bell, EPOLLIN.rawValue | EPOLLET.rawValue, token: UInt64(bell))
        else { return nil }
        if let handover {
            let interest = EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue
            guard self.watch(handover.taking, interest, token: UInt64(handover.taking)) else { return nil }
        }
    }

    deinit {
        close(events)
        close(bell)
    }

    // MARK: From other threads

    func end(_ ending: Ending) {
        mailbox.withLock { $0.ending = ending }
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
        do throws(StoreError) { reader = try StoreReader(files, journal: service.journal) } catch {
            log.critical("\(error)")
            return
        }
        var ready = [epoll_event](repeating: epoll_event(), count: 64)
        let taking = handover.map { UInt64($0.taking) }
        while !(ending != nil && inHand == 0 && leaving.isEmpty) {
            let patience = leaving.isEmpty ? -1 : FastCGIThread.retryInterval
            let count = epoll_wait(events, &ready, Int32(ready.count), patience)
            if count < 0, errno != EINTR { return }
            for index in 0..<max(0, Int(count)) {
                switch ready[index].data.u64 {
                case UInt64(bell): openMail()
                case UInt64(listener): accept()
                case taking: takeOver()
                case let token: receive(token, reader)
                }
            }
            giveAway()
        }
    }

    private func openMail() {
        var count: UInt64 = 0
        read(bell, &count, 8)
        let mail = mailbox.withLock { mailbox in
            defer { mailbox.completions = [] }
            return mailbox
        }
        if let ending = mail.ending, self.ending != ending { begin(ending) }
        for completion in mail.completions {
            times = completion.times
            completion.complete()
        }
        times = nil
    }

    // MARK: The end

    private func begin(_ ending: Ending) {
        guard self.ending != .stop else { return }
        let isFirst = self.ending == nil
        self.ending = ending == .drain && handover == nil ? .stop : ending
        guard isFirst else { return }
        epoll_ctl(events, EPOLL_CTL_DEL, listener, nil)
        guard let handover, self.ending == .drain else { return }
        epoll_ctl(events, EPOLL_CTL_DEL, handover.taking, nil)
        // The kernel may have woken this thread alone for what is there, and tells nobody else of it.
        while let descriptor = handover.take() { leaving.append(descriptor) }
        while true {
            let descriptor = acceptNext()
            guard descriptor >= 0 else { break }
            leaving.append(descriptor)
        }
        for token in connections.tokens where connections[token]?.isBusy == false { leave(token) }
    }

    /// Takes a connection between two requests out of this thread's hands.
    private func leave(_ token: UInt64) {
        guard let connection = connections[token] else { return }
        let descriptor = connection.release()
        connections.remove(token)
        // It stays open elsewhere, and closing it here would not end the watch.
        epoll_ctl(events, EPOLL_CTL_DEL, descriptor, nil)
        leaving.append(descriptor)
    }

    private func giveAway() {
        guard !leaving.isEmpty, let handover else { return }
        // A stop that comes meanwhile means that nobody may be left to take them.
        if ending == .stop {
            for descriptor in leaving { close(descriptor) }
            return leaving = []
        }
        while let descriptor = leaving.last, handover.give(descriptor) { leaving.removeLast() }
    }

    private func takeOver() {
        // One at a time, as with the listener. What was set for the connection is set still.
        if let descriptor = handover?.take() { begin(with: descriptor) }
    }

    // MARK: Connections

    private func acceptNext() -> Int32 {
        let descriptor = ds_accept(listener)
        guard descriptor >= 0 else {
            if errno == EMFILE || errno == ENFILE { outOfDescriptors() }
            return descriptor
        }
        var timeout = timeval(tv_sec: FastCGIThread.patience, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
        }
        return descriptor
    }

    /// Says so once a second: connections wait in the listener, which tells of them again and again.
    private func outOfDescriptors() {
        let now = ContinuousClock.now
        if let told = toldOfDescriptors, now - told < .seconds(1) { return }
        toldOfDescriptors = now
        log.error("out of descriptors: raise the limit of open files (ulimit -n)")
    }

    private func accept() {
        // One at a time: the listener says so again if there are more, and other threads get their share.
        let descriptor = acceptNext()
        if descriptor >= 0 { begin(with: descriptor) }
    }

    private func begin(with descriptor: Int32) {
        // Told of together with the end, and come behind it.
        if ending == .drain { return leaving.append(descriptor) }
        guard let connection = FastCGIConnection(descriptor: descriptor) else {
            close(descriptor)
            return
        }
        let token = connections.add(connection)
        // Edge-triggered: one event for each request (also for one that is there already), and none again for a peer that
        // hangs up meanwhile.
        if !watch(descriptor, EPOLLIN.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue, token: token) {
            connections.remove(token)
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
        guard ending == nil, connection.receive() else {
            connections.remove(token)
            return
        }
        connection.isBusy = true
        inHand += 1
        let request = FastCGIRequest.read(
            connection, maximumBody: maximumBody, adminKey: admin?.key, service: service)
        connection.target = request.target.raw
        connection.bytesIn = request.body.count
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
        connection.send(requestWatch.timed(response, trace))
        trace.mark(.sent)
        count(trace.operation, response, trace.nanoseconds)
        requestWatch.look(
            at: trace, status: response.status, path: RequestTarget(raw: connection.target).path,
            bytesIn: connection.bytesIn,
            bytesOut: response.fileBytes + response.body.count)
        connection.isBusy = false
        inHand -= 1
        // libfcgi has closed it unless nginx asked to keep it.
        if connection.descriptor < 0 || ending == .stop || connection.hasHungUp {
            connections.remove(token)
        } else if ending == .drain {
            leave(token)
        }
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
