import Glibc

/// What the kernel says of a process (proc(5)).
struct ProcessFacts {
    /// Clock ticks since the machine started at which it did.
    var startTicks: UInt64 = 0
    /// Whether it runs, rather than being stopped or a zombie.
    var isAlive = false
    var cpuSeconds = 0.0
    var residentBytes: Int64 = 0
    /// Nil when it may not be asked.
    var openDescriptors: Int64?

    /// Nil when there is no such process, or `/proc` doesn't show it.
    init?(pid: Int32) {
        guard let text = Self.read("/proc/\(pid)/stat"),
            // The name, in parentheses, may hold anything.
            let end = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 21, let ticks = UInt64(fields[19]) else { return nil }
        startTicks = ticks
        isAlive = !["Z", "T", "X", "x", "t"].contains(fields[0])
        let perSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        cpuSeconds = Double((UInt64(fields[11]) ?? 0) + (UInt64(fields[12]) ?? 0)) / perSecond
        residentBytes = (Int64(fields[21]) ?? 0) * Int64(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// Counts what is open; some microseconds, or one for each on kernels before 6.2.
    mutating func countDescriptors(pid: Int32) {
        let path = "/proc/\(pid)/fd"
        var status = stat()
        guard stat(path, &status) == 0, let folder = opendir(path) else { return }
        defer { closedir(folder) }
        if status.st_size > 0 { return openDescriptors = Int64(status.st_size) }
        var count: Int64 = -2
        while readdir(folder) != nil { count += 1 }
        openDescriptors = max(0, count)
    }

    /// Processes that a process has started.
    static func children(of pid: Int32) -> [Int32] {
        (read("/proc/\(pid)/task/\(pid)/children") ?? "").split(separator: " ").compactMap { Int32($0) }
    }

    /// Milliseconds since 1970.
    static var milliseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Milliseconds since 1970 at which the machine's clock ticks began.
    static func startedAt(ticks: UInt64) -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        let uptime = Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
        let perSecond = Int64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        return milliseconds - uptime + Int64(clamping: ticks) * 1_000 / perSecond
    }

    /// A small file.
    static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
