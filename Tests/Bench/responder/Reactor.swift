import CFastCGI
import CLinux
import Foundation

/// One FastCGI connection from nginx and the libfcgi request that reads and writes on it.
///
/// Only the thread that took the connection's one-shot event touches it, until that thread arms the
/// event again.
private final class Connection {
    let request: UnsafeMutablePointer<FCGX_Request>

    init(descriptor: Int32) {
        request = .allocate(capacity: 1)
        request.initialize(to: FCGX_Request())
        // Listen socket -1: libfcgi returns an error, rather than accept, when the peer has gone.
        FCGX_InitRequest(request, -1, 0)
        request.pointee.ipcFd = descriptor
        // FCGX_Accept_r begins with FCGX_Finish_r, which closes the descriptor otherwise.
        request.pointee.keepConnection = 1
    }

    /// Whether the connection is open; libfcgi closes it unless nginx asked to keep it.
    var isOpen: Bool { request.pointee.ipcFd >= 0 }

    /// Reads one request and answers it; true when the connection stays open for another.
    func serve(scratch: UnsafeMutableBufferPointer<CChar>) -> Bool {
        guard FCGX_Accept_r(request) == 0 else {
            return false
        }
        while FCGX_GetStr(scratch.baseAddress, Int32(scratch.count), request.pointee.in) > 0 {}
        FCGX_PutS("Status: 204 No Content\r\n\r\n", request.pointee.out)
        FCGX_Finish_r(request)
        return isOpen
    }

    deinit {
        if isOpen {
            FCGX_Free(request, 1)
        }
        request.deinitialize(count: 1)
        request.deallocate()
    }
}

/// Waits for readable connections on any number of threads and answers each request on the thread that
/// got its event: a connection never owns a thread.
final class Reactor: Sendable {
    private static let listenerTag: UInt64 = 0
    private let listener: Int32
    private let poll: Int32

    /// Watches `listener`, a listening socket.
    init(listener: Int32) throws {
        self.listener = listener
        poll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard poll >= 0 else {
            throw SystemCallError("epoll_create1")
        }
        guard watch(listener, tag: Self.listenerTag, add: true) else {
            throw SystemCallError("epoll_ctl")
        }
    }

    /// Handles events until the process ends.
    func run() {
        let scratch = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 16 * 1024)
        defer { scratch.deallocate() }
        var event = epoll_event()
        while true {
            guard epoll_wait(poll, &event, 1, -1) == 1 else {
                continue
            }
            let tag = event.data.u64
            if tag == Self.listenerTag {
                acceptOne()
            } else if let pointer = UnsafeRawPointer(bitPattern: UInt(tag)) {
                serve(Unmanaged<Connection>.fromOpaque(pointer), tag: tag, scratch: scratch)
            }
        }
    }

    /// Answers one request and watches the connection again, or frees it.
    private func serve(
        _ reference: Unmanaged<Connection>, tag: UInt64, scratch: UnsafeMutableBufferPointer<CChar>
    ) {
        let connection = reference.takeUnretainedValue()
        let descriptor = connection.request.pointee.ipcFd
        let stays = connection.serve(scratch: scratch)
        if !stays || !watch(descriptor, tag: tag, add: false) {
            reference.release()
        }
    }

    /// Takes one connection and watches it; then watches the listener again.
    private func acceptOne() {
        let descriptor = ds_accept(listener)
        if descriptor >= 0 {
            // A peer that stops in the middle of a request must not hold a thread for ever.
            var limit = timeval(tv_sec: 10, tv_usec: 0)
            setsockopt(
                descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            let reference = Unmanaged.passRetained(Connection(descriptor: descriptor))
            let tag = UInt64(UInt(bitPattern: reference.toOpaque()))
            if !watch(descriptor, tag: tag, add: true) {
                reference.release()
            }
        }
        _ = watch(listener, tag: Self.listenerTag, add: false)
    }

    /// Arms one one-shot event for `descriptor`.
    private func watch(_ descriptor: Int32, tag: UInt64, add: Bool) -> Bool {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | EPOLLRDHUP.rawValue | EPOLLONESHOT.rawValue
        event.data.u64 = tag
        return epoll_ctl(poll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event) == 0
    }
}
