import CLinux
import Glibc

/// A mutex with a condition variable around some state, for threads that wait for one another.
///
/// `@unchecked Sendable`: the state is only reached with the mutex held, and the mutex and the condition
/// live at fixed addresses for as long as this object.
public final class Condition<State>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state: State

    /// Begins with some state.
    public init(_ state: sending State) {
        self.state = state
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Changes the state; the waiting thread is woken if `body` says so.
    public func update<T>(_ body: (inout State) -> (wake: Bool, T)) -> T {
        pthread_mutex_lock(mutex)
        let (wake, value) = body(&state)
        pthread_mutex_unlock(mutex)
        if wake { pthread_cond_broadcast(condition) }
        return value
    }

    /// Waits until `take` gives a value; nil after `timeout` milliseconds without one.
    public func wait<T>(timeout: Int64? = nil, _ take: (inout State) -> T?) -> T? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        var deadline = timespec()
        if let timeout {
            clock_gettime(CLOCK_MONOTONIC, &deadline)
            let nanoseconds = Int64(deadline.tv_nsec) + timeout % 1_000 * 1_000_000
            deadline.tv_sec += Int(timeout / 1_000 + nanoseconds / 1_000_000_000)
            deadline.tv_nsec = Int(nanoseconds % 1_000_000_000)
        }
        while true {
            if let value = take(&state) { return value }
            if timeout == nil {
                pthread_cond_wait(condition, mutex)
            } else if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT {
                return take(&state)
            }
        }
    }
}

/// A joinable thread with a name.
///
/// `@unchecked Sendable`: the identifier is written once, before anyone else sees the object.
public final class NamedThread: @unchecked Sendable {
    private var identifier = pthread_t()

    /// Starts a thread.
    public init(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Box(name: name, body: body))
        pthread_create(
            &identifier, nil,
            { argument in
                guard let argument else { return nil }
                let box = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
                ds_name_thread(String(box.name.prefix(15)))
                box.body()
                return nil
            }, box.toOpaque())
    }

    /// Waits until the thread has ended; call it once.
    public func join() { pthread_join(identifier, nil) }

    private final class Box {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
}
