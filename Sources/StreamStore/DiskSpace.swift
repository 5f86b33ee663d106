import Glibc
import Synchronization

/// Whether the disk is so full that no more data should come in, looked at four times a second while somebody asks.
public final class DiskSpace: Sendable {
    private let path: String
    private let highWater: Int
    private let report: @Sendable (_ isLow: Bool, String) -> Void
    private let nextLook = Atomic<Int64>(0)
    private let low = Atomic<Bool>(false)

    /// Nanoseconds between two looks.
    private static let interval: Int64 = 250_000_000

    /// - Parameters:
    ///   - path: any file or folder of the file system.
    ///   - highWater: percent in use, as df(1) counts them, above which space is low, 1...100; with 100 it never is.
    ///   - report: takes a line for the operator each time that the mark is crossed.
    public init(
        path: String, highWater: Int, report: @escaping @Sendable (_ isLow: Bool, String) -> Void
    ) {
        self.path = path
        self.highWater = highWater
        self.report = report
    }

    /// Whether the mark is crossed; at most a quarter of a second old.
    public var isLow: Bool {
        guard highWater < 100 else { return false }
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
        let now = Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
        let due = nextLook.load(ordering: .relaxed)
        let isMine =
            now >= due
            && nextLook.compareExchange(
                expected: due, desired: now + DiskSpace.interval, ordering: .relaxed
            ).exchanged
        if isMine { look() }
        return low.load(ordering: .relaxed)
    }

    private func look() {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return }
        // What ordinary users can't have counts neither as free nor as used.
        let used = UInt64(status.f_blocks - status.f_bfree)
        let all = used + UInt64(status.f_bavail)
        guard all > 0 else { return }
        let isLow = used * 100 > all * UInt64(highWater)
        guard low.exchange(isLow, ordering: .relaxed) != isLow else { return }
        let state = "the file system of \(path) is \((used * 100 + all - 1) / all) % full"
        report(
            isLow,
            isLow
                ? "\(state), above the high-water mark of \(highWater) %: appends and creates are answered 507 until "
                    + "there is space; delete streams, make room, or raise disk_high_water"
                : "\(state), below the high-water mark of \(highWater) % again: appends and creates are taken"
        )
    }
}
