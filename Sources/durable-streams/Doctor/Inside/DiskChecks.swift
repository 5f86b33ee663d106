import CLinux
import Glibc

/// There is room for what comes.
enum DiskSpaceCheck: HostCheck {
    static let name = "disk-space"

    /// Percent before the mark at which somebody should look.
    private static let reserve = 5.0

    static func examine(_ host: Host) throws(Obstacle) -> [Diagnosis] {
        var status = statvfs()
        guard statvfs(host.layout.dataDirectory, &status) == 0 else {
            throw .skipped("the data directory can't be entered")
        }
        let used = Double(status.f_blocks - min(status.f_blocks, status.f_bfree))
        let percent = used * 100 / max(1, used + Double(status.f_bavail))
        host.measured.append(("disk_used_percent", .number(Int64(percent.rounded(.up)))))
        var found: [Diagnosis] = []
        let mark = Double(host.settings.diskHighWater)
        if percent > mark - reserve {
            let isAbove = percent > mark
            found.append(
                diagnosis(
                    isAbove ? .error : .warning,
                    "the disk of \(host.layout.dataDirectory) is \(Int(percent.rounded(.up))) % full; above "
                        + "\(Int(mark)) % (disk_high_water) appends are refused"))
        }
        let inodes = Double(status.f_files - min(status.f_files, status.f_ffree))
        if status.f_files > 0, inodes * 100 / Double(status.f_files) > 95 {
            found.append(diagnosis(.warning, "the file system has few inodes left (df -i)"))
        }
        return found
    }

    private static func diagnosis(_ severity: Severity, _ seen: String) -> Diagnosis {
        Diagnosis(
            severity, seen: seen, matters: "appends and creates get 507; reads and deletes go on",
            mend:
                "delete streams, set retention (DS_RETENTION_AGE, DS_RETENTION_BYTES), lower DS_CACHE_SIZE, or enlarge "
                + "the disk")
    }
}

/// The disk is one of this machine, and keeps what it has.
enum FileSystem: HostCheck {
    static let name = "file-system"

    /// statfs(2): those that only seem to be local, and memory.
    private static let network: [UInt32] = [0x6969, 0xFF53_4D42, 0x517B, 0xFE53_4D42, 0x00C3_6400]
    private static let memory: [UInt32] = [0x0102_1994, 0x8584_58F6]

    static func examine(_ host: Host) throws(Obstacle) -> [Diagnosis] {
        let type = ds_file_system(host.layout.dataDirectory)
        guard type != 0 else { throw .skipped("the data directory can't be entered") }
        if network.contains(type) {
            return [
                diagnosis(
                    "the data directory is on a network file system",
                    "locks and mapped files do not hold there")
            ]
        }
        if memory.contains(type) {
            return [
                diagnosis(
                    "the data directory is in memory (tmpfs)", "everything is gone with the next restart")
            ]
        }
        return []
    }

    private static func diagnosis(_ seen: String, _ matters: String) -> Diagnosis {
        Diagnosis(
            .warning, seen: seen, matters: matters,
            mend:
                "stop the server, rsync -aHAX the directory to a local disk (ext4, XFS), and point DS_DATA_DIR there"
        )
    }
}

/// The disk confirms writes fast.
enum DiskSync: HostCheck {
    static let name = "fsync"

    private static let rounds = 9
    /// Milliseconds that each group of appends may wait.
    private static let limit = 20.0

    static func examine(_ host: Host) throws(Obstacle) -> [Diagnosis] {
        let path = "\(host.layout.dataDirectory)/doctor-\(getpid()).tmp"
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .skipped("this user can't write to the data directory") }
        unlink(path)
        defer { close(descriptor) }
        let page = [UInt8](repeating: 0x2E, count: 4_096)
        // Written once before, so that no sync has to make the file longer.
        for number in 0..<rounds { pwrite(descriptor, page, page.count, off_t(number * page.count)) }
        fsync(descriptor)
        var times: [Double] = []
        for number in 0..<rounds {
            let start = EventWatch.now
            guard pwrite(descriptor, page, page.count, off_t(number * page.count)) == page.count,
                fdatasync(descriptor) == 0
            else { throw .skipped("the disk takes no writes") }
            times.append(Double(EventWatch.now - start) / 1e6)
        }
        let median = times.sorted()[rounds / 2]
        host.measured.append(("fsync_microseconds", .number(Int64(median * 1e3))))
        guard median > limit else { return [] }
        return [
            Diagnosis(
                .warning,
                seen: "the disk takes \(Int(median.rounded())) ms to confirm a write (median of \(rounds))",
                matters: "each append waits for that at least",
                mend:
                    "a disk with power-loss protection, or nothing else that syncs on it (iostat -x 1); larger batches"
            )
        ]
    }
}
