import Glibc

/// A clock that never jumps, the same in all processes of a machine.
public enum MonotonicNanoseconds {
    /// Nanoseconds since some moment; costs some 25 ns itself.
    public static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
