import StreamProtocol

/// The limits of projects, judged where streams and records are written.
extension WriteSession {
    /// Whether a project may have that much more content, and one more stream if it is for a new one.
    func allows(
        _ quota: ProjectQuota, _ name: StreamName, _ body: PreparedBody, now: Int64, isNew: Bool
    ) throws(StoreError) -> Bool {
        if try hasRoom(quota, name.project, body, isNew: isNew) { return true }
        // What has expired counts until somebody removes it.
        guard try sweep(now: now, WriteSession.sweepBeforeRefusal) > 0 else { return false }
        return try hasRoom(quota, name.project, body, isNew: isNew)
    }

    /// Expired streams that a refusal removes at most, of whatever project.
    private static var sweepBeforeRefusal: StepBudget { StepBudget(rows: 256, microseconds: 2_000) }

    private func hasRoom(
        _ quota: ProjectQuota, _ project: String, _ body: PreparedBody, isNew: Bool
    ) throws(StoreError) -> Bool {
        let used = try usage(of: project)
        if isNew, let limit = quota.streams, used.streams >= limit { return false }
        guard let limit = quota.bytes, body.weight > 0 else { return true }
        try index.refresh()
        let pending = try recentWrites.bytes(of: project, behind: index.indexedThrough)
        return used.bytes + pending + Int64(body.weight) <= limit
    }

    /// Counts what the hot parts of streams have become larger by; those that are gone count no more.
    ///
    /// Once for all streams of a project: done by a trigger for each stream, it cost a twentieth of the appends.
    func countUsage(_ changes: [(stream: Int64, bytes: Int64)]) throws(StoreError) {
        guard try statements.anyUsage.step() else { return }
        statements.anyUsage.reset()
        var sums: [String: Int64] = [:]
        for change in changes {
            guard let project = try recentWrites.project(of: change.stream) else { continue }
            sums[project, default: 0] += change.bytes
        }
        for (project, bytes) in sums {
            statements.addUsage.bind(1, project)
            statements.addUsage.bind(2, bytes)
            try statements.addUsage.run()
        }
    }

    private func usage(of project: String) throws(StoreError) -> ProjectUsage {
        statements.usage.bind(1, project)
        guard try statements.usage.step() else { return ProjectUsage() }
        defer { statements.usage.reset() }
        return ProjectUsage(streams: statements.usage.int(0), bytes: statements.usage.int(1))
    }
}

/// Bytes of records that are not in the index yet, and so not in what the triggers count, by project. Only asked for
/// projects that have a limit; reads on where it left off, so each record is looked at once.
final class RecentWrites {
    private struct Entry {
        let record: Int64
        let stream: Int64
        let project: String
        let bytes: Int64
    }

    private var entries: [Entry] = []
    private var sums: [String: Int64] = [:]
    private var through: Int64 = 0
    private let records: SQLiteStatement
    private let nameByID: SQLiteStatement

    init(_ connection: SQLiteConnection) throws(StoreError) {
        records = try connection.prepare(
            "SELECT id, stream, length(payload) FROM record WHERE id > ?1 ORDER BY id")
        nameByID = try connection.prepare("SELECT name FROM stream WHERE id = ?1")
    }

    /// What a project has in records behind the index.
    func bytes(of project: String, behind indexed: Int64) throws(StoreError) -> Int64 {
        if let known = entries.firstIndex(where: { $0.record > indexed }) {
            for entry in entries[..<known] { sums[entry.project, default: 0] -= entry.bytes }
            entries.removeFirst(known)
        } else {
            entries.removeAll(keepingCapacity: true)
            sums.removeAll(keepingCapacity: true)
        }
        through = max(through, indexed)
        records.bind(1, through)
        while try records.step() {
            through = records.int(0)
            let stream = records.int(1)
            guard stream > 0, let project = try self.project(of: stream) else { continue }
            let entry = Entry(record: through, stream: stream, project: project, bytes: records.int(2))
            entries.append(entry)
            sums[project, default: 0] += entry.bytes
        }
        return sums[project] ?? 0
    }

    /// What a removed stream has written counts no more.
    func forget(_ stream: Int64) {
        for entry in entries where entry.stream == stream { sums[entry.project, default: 0] -= entry.bytes }
        entries.removeAll { $0.stream == stream }
    }

    /// Records that were looked at have been rolled back.
    func reset() {
        entries.removeAll(keepingCapacity: true)
        sums.removeAll(keepingCapacity: true)
        through = 0
    }

    /// The project of a stream; nil when it is gone, which another process may have seen to.
    func project(of stream: Int64) throws(StoreError) -> String? {
        nameByID.bind(1, stream)
        guard try nameByID.step() else { return nil }
        defer { nameByID.reset() }
        return StreamName(text: nameByID.text(0)).project
    }
}
