import Glibc

/// A named point in the work of the store at which a test may end or stop the process.
///
/// Off, and a load and a branch each, unless the environment has `DURABLE_STREAMS_TEST_HOOKS=FOLDER`. Then a process
/// that reaches point `P` removes the file `FOLDER/P.kill` and ends itself by SIGKILL, or removes `FOLDER/P.stop` and
/// stops itself by SIGSTOP. A number in the file lets that many passes but one go by. So each file works once, in the
/// first process that comes by, and its vanishing tells the test.
public enum TestPoint: String, Sendable {
    /// A creation is about to be queued; no lock is held.
    case createSubmitted = "create.submitted"
    /// A creation is durable and not answered yet.
    case createCommitted = "create.committed"
    /// The source of a fork was looked at, nothing is written yet.
    case forkResolved = "fork.resolved"
    /// A fork's row is there, its source does not count it yet.
    case forkInserted = "fork.inserted"
    /// The source counts the fork, whose body is not there yet.
    case forkCounted = "fork.counted"
    /// A stream was soft-deleted; not committed.
    case deleteSoft = "delete.soft"
    /// A deletion is durable and not answered yet.
    case deleteCommitted = "delete.committed"
    /// A removed stream's row is gone, its source still counts it.
    case cascadeRemoved = "cascade.removed"
    /// The source of a removed stream no longer counts it.
    case cascadeReleased = "cascade.released"
    /// An expired stream was ended by the sweep; not committed.
    case sweepEnded = "sweep.ended"
    /// Some records of a deleted stream are gone; not committed.
    case purgeRecords = "purge.records"
    /// A deleted stream has no records left, and is about to leave the queue.
    case purgeFinished = "purge.finished"
    /// A step of the purge is durable.
    case purgeCommitted = "purge.committed"
    /// Free pages were taken from the end of the file; not committed.
    case vacuumStep = "vacuum.step"
    /// A step of the vacuum is durable.
    case vacuumCommitted = "vacuum.committed"

    /// A segment's file has its content, not yet synced.
    case segmentWritten = "segment.written"
    /// A segment's file is synced and has its temporary name.
    case segmentSynced = "segment.synced"
    /// A segment's file has its name; its folder is not synced.
    case segmentRenamed = "segment.renamed"
    /// A segment's file is durable, its row not written yet.
    case segmentStored = "segment.stored"
    /// A segment's row is written; not committed.
    case segmentRecorded = "segment.recorded"
    /// A segment is durable in file and row.
    case segmentCommitted = "segment.committed"
    /// The rows of merged segments were replaced by one; not committed.
    case mergeRecorded = "merge.recorded"
    /// A merge is durable; the files that it replaced are there still.
    case mergeCommitted = "merge.committed"
    /// What retention lets go of a stream was decided; nothing is written yet.
    case retentionJudged = "retention.judged"
    /// Segments were given up by retention; not committed.
    case retentionRecorded = "retention.recorded"
    /// Segments were given up by retention; their files are there still.
    case retentionCommitted = "retention.committed"
    /// Files that nobody needs were removed; the list still has them.
    case garbageRemoved = "garbage.removed"

    /// The hot log of a backup is complete under its temporary name.
    case backupSnapshot = "backup.snapshot"
    /// A segment was copied into a backup.
    case backupSegment = "backup.segment"
    /// A backup has all segments; its new hot log has its temporary name still.
    case backupCopied = "backup.copied"
    /// A backup's hot log was renamed; segments that it no longer needs are there still.
    case backupRenamed = "backup.renamed"
    /// A restore has begun, and says so.
    case restoreMarked = "restore.marked"
    /// A segment was copied out of a backup.
    case restoreSegment = "restore.segment"
    /// A restore has copied everything; the hot log has its temporary name still.
    case restoreCopied = "restore.copied"
    /// A restored hot log has its name; the mark is there still.
    case restoreRenamed = "restore.renamed"

    /// Does what a test has asked for at this point, if anything.
    @inline(__always)
    public func reached() {
        if TestHooks.folder != nil { TestHooks.act(at: rawValue) }
    }
}

/// What tests ask of a process, by files in a folder that the environment names.
public enum TestHooks {
    static let folder: String? = getenv("DURABLE_STREAMS_TEST_HOOKS").map { String(cString: $0) }

    /// Milliseconds that a test adds to the clock: the first 8 bytes of `FOLDER/clock`, seen as soon as they change;
    /// 0 without the folder or the file.
    public static var clockOffset: Int64 { clock.map { Int64(littleEndian: $0.pointee) } ?? 0 }

    /// Mapped for the life of the process, and only read here; an aligned word is never seen half-written.
    nonisolated(unsafe) private static let clock: UnsafePointer<Int64>? = {
        guard let folder else { return nil }
        let descriptor = open(folder + "/clock", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard lseek(descriptor, 0, SEEK_END) >= 8 else { return nil }
        let mapped = mmap(nil, 8, PROT_READ, MAP_SHARED, descriptor, 0)
        guard let mapped, mapped != MAP_FAILED else { return nil }
        return UnsafePointer(mapped.assumingMemoryBound(to: Int64.self))
    }()

    fileprivate static func act(at point: String) {
        guard let folder else { return }
        for (suffix, number) in [("kill", SIGKILL), ("stop", SIGSTOP)] {
            let path = "\(folder)/\(point).\(suffix)"
            // raise(3) stops this very thread; kill(2) may hand the signal to another while this one runs on.
            if isLastPass(path), unlink(path) == 0 { raise(number) }
        }
    }

    /// Counts a pass down; true when no number was left to count.
    private static func isLastPass(_ path: String) -> Bool {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var digits = [UInt8](repeating: 0, count: 20)
        let count = read(descriptor, &digits, digits.count)
        let text = String(decoding: digits.prefix(max(0, count)), as: UTF8.self).prefix { $0.isNumber }
        guard let passes = Int(text), passes > 1 else { return true }
        let rest = Array("\(passes - 1)\n".utf8)
        _ = ftruncate(descriptor, 0)
        _ = pwrite(descriptor, rest, rest.count, 0)
        return false
    }
}
