import StreamStore
import Telemetry

extension Telemetry {
    /// Counts a committed transaction; called once for each, so what was not done costs a branch.
    func count(_ group: GroupReport) {
        observe(.groupRequests, Int64(group.requests))
        observe(.commitQueue, group.waited)
        observe(.writeLock, group.lockWait)
        observe(.commit, group.commit)
        let tally = group.tally
        add(.appends, tally.appends)
        add(.appendedMessages, tally.messages)
        add(.appendedBytes, tally.bytes)
        add(.streamsCreated, tally.created)
        add(.streamsDeleted, tally.deleted)
        add(.streamsExpired, tally.expired)
        add(.rotations, tally.rotations)
        add(.merges, tally.merges)
        add(.purgedRecords, tally.purged)
        add(.removedFiles, tally.removedFiles)
    }
}
