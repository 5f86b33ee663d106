import CLinux
import Foundation

/// Nanoseconds of the monotonic clock.
public func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// An epoll set whose events carry an index of the caller's.
public struct Poll: ~Copyable {
    private let descriptor: Int32
    private let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: 256)

    /// Makes an empty set.
    public init() throws {
        descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard descriptor >= 0 else {
            throw Failure.system("epoll_create1")
        }
    }

    /// Reports `tag` whenever `watched` is readable.
    public func add(_ watched: Int32, tag: Int) throws {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = UInt64(tag)
        guard epoll_ctl(descriptor, EPOLL_CTL_ADD, watched, &event) == 0 else {
            throw Failure.system("epoll_ctl")
        }
    }

    /// Reports `watched` no longer.
    public func remove(_ watched: Int32) throws {
        var event = epoll_event()
        guard epoll_ctl(descriptor, EPOLL_CTL_DEL, watched, &event) == 0 else {
            throw Failure.system("epoll_ctl")
        }
    }

    /// Waits up to `milliseconds` and hands each reported tag to `handle`.
    public func wait(milliseconds: Int32, handle: (Int) throws -> Void) throws {
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
public struct DueTimer: ~Copyable {
    /// What to watch.
    public let descriptor: Int32

    /// Makes one that is not due.
    public init() throws {
        descriptor = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_CLOEXEC))
        guard descriptor >= 0 else {
            throw Failure.system("timerfd_create")
        }
    }

    /// Becomes readable at `time`, at once when that has passed.
    public func set(_ time: Int64) {
        var setting = itimerspec()
        setting.it_value.tv_sec = Int(time / 1_000_000_000)
        setting.it_value.tv_nsec = Int(time % 1_000_000_000)
        timerfd_settime(descriptor, Int32(TFD_TIMER_ABSTIME), &setting, nil)
    }

    /// Makes it unreadable until it is due again.
    public func clear() {
        var expirations: UInt64 = 0
        _ = read(descriptor, &expirations, MemoryLayout<UInt64>.size)
    }

    deinit {
        close(descriptor)
    }
}
