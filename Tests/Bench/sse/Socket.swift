import CLinux
import Foundation

/// Nanoseconds of the monotonic clock.
func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// The failure that `errno` describes.
func systemFailure(_ call: String) -> Failure {
    Failure("\(call): \(String(cString: strerror(errno)))")
}

/// Lets the process open `count` files, if the hard limit allows that.
func raiseFileLimit(to count: Int) throws {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
        throw systemFailure("getrlimit")
    }
    guard limit.rlim_max >= rlim_t(count) else {
        throw Failure("\(count) open files are needed and the limit is \(limit.rlim_max)")
    }
    limit.rlim_cur = max(limit.rlim_cur, rlim_t(count))
    guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
        throw systemFailure("setrlimit")
    }
}

/// Opens a TCP connection. It blocks, but for no longer than ten seconds at a time.
func connectTCP(host: String, port: UInt16) throws -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else {
        throw Failure("not an IPv4 address: \(host)")
    }
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else {
        throw systemFailure("socket")
    }
    var patience = timeval(tv_sec: 10, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, size)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
    var yes: Int32 = 1
    setsockopt(
        descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
    let connected = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard connected == 0 else {
        let failure = systemFailure("connect to \(host):\(port)")
        close(descriptor)
        throw failure
    }
    return descriptor
}

/// Sends all of `bytes`.
func sendAll(_ descriptor: Int32, _ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { buffer in
        var rest = buffer[...]
        while !rest.isEmpty {
            let sent = send(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count, 0)
            guard sent > 0 else {
                throw systemFailure("send")
            }
            rest = rest.dropFirst(sent)
        }
    }
}

/// An epoll set whose events carry an index of the caller's.
struct Poll: ~Copyable {
    private let descriptor: Int32
    private let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: 256)

    init() throws {
        descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard descriptor >= 0 else {
            throw systemFailure("epoll_create1")
        }
    }

    /// Reports `tag` whenever `watched` is readable.
    func add(_ watched: Int32, tag: Int) throws {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = UInt64(tag)
        guard epoll_ctl(descriptor, EPOLL_CTL_ADD, watched, &event) == 0 else {
            throw systemFailure("epoll_ctl")
        }
    }

    /// Reports `watched` no longer.
    func remove(_ watched: Int32) throws {
        var event = epoll_event()
        guard epoll_ctl(descriptor, EPOLL_CTL_DEL, watched, &event) == 0 else {
            throw systemFailure("epoll_ctl")
        }
    }

    /// Waits up to `milliseconds` and hands each reported tag to `handle`.
    func wait(milliseconds: Int32, handle: (Int) throws -> Void) throws {
        let count = epoll_wait(descriptor, events.baseAddress, Int32(events.count), milliseconds)
        for index in 0..<max(0, Int(count)) {
            try handle(Int(events[index].data.u64))
        }
    }

    deinit {
        events.deallocate()
        close(descriptor)
    }
}

/// A timer of the monotonic clock, readable when it is due: epoll itself counts in milliseconds.
struct Timer: ~Copyable {
    let descriptor: Int32

    init() throws {
        descriptor = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_CLOEXEC))
        guard descriptor >= 0 else {
            throw systemFailure("timerfd_create")
        }
    }

    /// Becomes readable at `time`, at once when that has passed.
    func set(_ time: Int64) {
        var setting = itimerspec()
        setting.it_value.tv_sec = Int(time / 1_000_000_000)
        setting.it_value.tv_nsec = Int(time % 1_000_000_000)
        timerfd_settime(descriptor, Int32(TFD_TIMER_ABSTIME), &setting, nil)
    }

    /// Makes it unreadable until it is due again.
    func clear() {
        var expirations: UInt64 = 0
        _ = read(descriptor, &expirations, MemoryLayout<UInt64>.size)
    }

    deinit {
        close(descriptor)
    }
}
