import CLinux
import Glibc
import Synchronization

/// Whether the disk is so full that no more content should come in, looked at four times a second while somebody asks.
///
/// Content is refused above a mark, and when a write has failed for lack of space: what is left of the write-ahead log,
/// which has its size from the start, then is for deletions and for the work that makes room.
public final class DiskSpace: Sendable {
    private let path: String
    private let highWater: Int
    private let report: @Sendable (_ isLow: Bool, String) -> Void
    private let nextLook = Atomic<Int64>(0)
    private let isAboveMark = Atomic<Bool>(false)
    private let available = Atomic<UInt64>(.max)
    private let owed = Atomic<Int64>(0)
    /// Nanoseconds of the monotonic clock until which nothing is tried after a write has failed.
    private let fullUntil = Atomic<Int64>(0)
    /// 1 while the write-ahead log can't be copied into the database; for all processes. Mapped for the life of the
    /// process, and only used by atomic operations.
    nonisolated(unsafe) private let isStuck: UnsafeMutablePointer<Int64>?

    /// Nanoseconds between two looks.
    private static let interval: Int64 = 250_000_000
    /// Nanoseconds after a failed write until content is tried again.
    private static let rest: Int64 = 1_000_000_000
    /// Bytes of a page of the database.
    static let page: Int64 = 4_096
    /// Bytes that are kept free of content for rows, indexes and folders: 256 KiB.
    static let slack: Int64 = 256 << 10
    /// Bytes below which every write may be the last that finds room: about what comes in a second.
    private static let tight: UInt64 = 64 << 20

    /// - Parameters:
    ///   - folder: the data directory.
    ///   - highWater: percent in use, as df(1) counts them, above which space is low, 1...100; 100: there is no mark.
    ///   - report: takes a line for the operator each time that the mark is crossed.
    public init(
        folder: String, highWater: Int, report: @escaping @Sendable (_ isLow: Bool, String) -> Void
    ) {
        path = folder
        self.highWater = highWater
        self.report = report
        isStuck = ds_map_number(folder + "/space")
    }

    deinit { if let isStuck { munmap(isStuck, MemoryLayout<Int64>.size) } }

    /// Whether no more content should come in; at most a quarter of a second old.
    public var isLow: Bool {
        let now = lookIfDue()
        return isAboveMark.load(ordering: .relaxed) || now < fullUntil.load(ordering: .relaxed)
            || isStuck.map { ds_atomic_load_behind_stores($0) != 0 } ?? false
    }

    /// Whether the end of the space is near: what must be copied before the write-ahead log can begin anew is kept small
    /// then, and nobody should keep copies beside the data.
    var isTight: Bool {
        _ = lookIfDue()
        return available.load(ordering: .relaxed) < DiskSpace.tight
    }

    /// Bytes that are free, as of the last look.
    var bytesAvailable: Int64 { Int64(clamping: available.load(ordering: .relaxed)) }

    /// Notes, and gives, how many bytes the database must still grow by for what was committed.
    ///
    /// - Parameters:
    ///   - pages: its length in pages.
    ///   - path: its file.
    func owe(pages: Int64, beyond path: String) -> Int64 {
        var status = stat()
        let size = stat(path, &status) == 0 ? Int64(status.st_size) : 0
        let bytes = max(0, pages * DiskSpace.page - size)
        owed.store(bytes, ordering: .relaxed)
        return bytes
    }

    /// Whether a file of so many bytes leaves enough for what was committed.
    func hasRoom(for bytes: Int) -> Bool {
        !isTight || bytesAvailable - owed.load(ordering: .relaxed) >= 2 * Int64(bytes) + DiskSpace.slack
    }

    /// Whether there is room for copies that others keep beside the data, such as nginx's.
    public var hasRoomForCopies: Bool { !isLow && !isTight }

    /// A write has failed for lack of space.
    func noteFull() { fullUntil.store(DiskSpace.now + DiskSpace.rest, ordering: .relaxed) }

    /// Whether the write-ahead log could be copied into the database.
    func noteCheckpoint(succeeded: Bool) {
        guard let isStuck else { return succeeded ? () : noteFull() }
        ds_atomic_store(isStuck, succeeded ? 0 : 1)
    }

    private static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Gives the time.
    private func lookIfDue() -> Int64 {
        let now = DiskSpace.now
        let due = nextLook.load(ordering: .relaxed)
        let isMine =
            now >= due
            && nextLook.compareExchange(
                expected: due, desired: now + DiskSpace.interval, ordering: .relaxed
            ).exchanged
        if isMine { look() }
        return now
    }

    /// Looks, however short ago the last time was.
    func look() {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return }
        // What ordinary users can't have counts neither as free nor as used.
        let (blocks, free, forUsers) = (
            UInt64(status.f_blocks), UInt64(status.f_bfree), UInt64(status.f_bavail)
        )
        let used = blocks - min(blocks, free)
        let all = used &+ forUsers
        available.store(forUsers &* UInt64(status.f_frsize), ordering: .relaxed)
        guard all > 0 else { return }
        // Once above, it must be a thousandth below, so that use at the very mark is no news each time.
        let wasAbove = isAboveMark.load(ordering: .relaxed)
        let permille = UInt64(highWater) * 10 - (wasAbove ? 1 : 0)
        let isAbove = highWater < 100 && used &* 1_000 > all &* permille
        guard isAboveMark.exchange(isAbove, ordering: .relaxed) != isAbove else { return }
        let state = "the file system of \(path) is \((used * 100 + all - 1) / all) % full"
        report(
            isAbove,
            isAbove
                ? "\(state), above the high-water mark of \(highWater) %: appends and creates are answered 507 until "
                    + "there is space; delete streams, make room, or raise disk_high_water"
                : "\(state), below the high-water mark of \(highWater) % again: appends and creates are taken"
        )
    }
}
