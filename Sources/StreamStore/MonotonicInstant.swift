import Glibc

/// A moment of the clock that nobody sets back.
struct MonotonicInstant: Comparable {
    private let nanoseconds: Int64

    static var now: MonotonicInstant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Nanoseconds, for spans that are only counted.
    static var count: Int64 { now.nanoseconds }

    static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    static func + (instant: MonotonicInstant, microseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: instant.nanoseconds + microseconds * 1_000)
    }

    /// Milliseconds from another moment to this one, rounded up.
    static func - (left: MonotonicInstant, right: MonotonicInstant) -> Int64 {
        (left.nanoseconds - right.nanoseconds + 999_999) / 1_000_000
    }
}
