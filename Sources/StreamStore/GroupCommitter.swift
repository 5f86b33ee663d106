import CSQLite
import StreamProtocol

/// The one writer of a process: it drains what waits into one transaction, commits it with one fsync,
/// and then lets each caller know.
public final class GroupCommitter: Sendable {
    /// What happens around commits.
    public struct Hooks: Sendable {
        /// Streams that a commit has changed; called behind it, before the callers know.
        public var committed: @Sendable ([StreamChange]) -> Void
        /// The store can't go on in this process: SQLite's memory may differ from the disk, for instance
        /// after a failed fsync, which must never be retried as if it had worked. Ends the process.
        public var poisoned: @Sendable (StoreError) -> Void
        /// A request failed for a reason that the operator should know.
        public var failed: @Sendable (StoreError) -> Void
        /// A transaction was committed; called on the committing thread, before the callers know.
        public var grouped: @Sendable (GroupReport) -> Void = { _ in }
        /// So many writes and bytes wait now; called with the queue held, so it must do next to nothing.
        public var queued: @Sendable (_ requests: Int, _ bytes: Int) -> Void = { _, _ in }
        /// A write was refused because too much waits.
        public var refused: @Sendable (QueueReport) -> Void = { _ in }

        /// Collects the hooks.
        public init(
            committed: @escaping @Sendable ([StreamChange]) -> Void,
            poisoned: @escaping @Sendable (StoreError) -> Void,
            failed: @escaping @Sendable (StoreError) -> Void
        ) {
            self.committed = committed
            self.poisoned = poisoned
            self.failed = failed
        }
    }

    private typealias Queue = WriteQueue<GroupMember>

    private enum Verdict {
        case taken, closing, refused(QueueReport)
    }

    private let waiting = Condition(Queue())
    private let limits: QueueLimits
    private let hooks: Hooks
    let space: DiskSpace?
    /// What the commits have changed, for readers of this process.
    public let journal = CommitJournal()
    private let thread: Condition<NamedThread?> = Condition(nil)

    /// Opens the hot log, making it at the first start, and starts the thread that commits.
    ///
    /// - Parameters:
    ///   - space: says whether there is room for more; nil: there always is.
    ///   - limits: how many writes may wait.
    public init(
        _ files: StoreFiles, space: DiskSpace? = nil, limits: QueueLimits = QueueLimits(), hooks: Hooks
    ) throws(StoreError) {
        self.limits = limits
        self.hooks = hooks
        self.space = space
        let lock = try FileLock(path: files.writeLock)
        // Two processes may make the same new file at once.
        try lock.lock()
        defer { lock.unlock() }
        let session = try WriteSession(files, space)
        Schema.extendLog(files)
        // The session goes to its thread and is used there alone.
        nonisolated(unsafe) let owned = session
        let started = NamedThread("commit") { [self] in run(owned, lock) }
        thread.update { thread in
            thread = started
            return (false, ())
        }
    }

    /// Queues a write.
    ///
    /// - Parameters:
    ///   - weight: bytes that it adds to the transaction.
    ///   - queue: takes the finished write to where `complete` shall run; nil: the committing thread.
    ///   - isBounded: whether it may be refused with `busy` because too much waits.
    ///   - work: runs inside the transaction, again if a neighbour fails.
    ///   - complete: runs once, when the outcome is durable or has failed.
    public func submit<Outcome: Sendable>(
        weight: Int = 0,
        completeOn queue: (any CompletionQueue)? = nil,
        isBounded: Bool = true,
        _ work: @escaping @Sendable (WriteSession) throws(StoreError) -> Outcome,
        complete: @escaping @Sendable (Result<Outcome, StoreError>) -> Void
    ) {
        submit(Member(weight: weight, queue: queue, work: work, complete: complete), isBounded: isBounded)
    }

    /// Queues an append: `submit`, without the cost of being generic in another module.
    ///
    /// - Parameters:
    ///   - queue: takes the finished write to where `complete` shall run; nil: the committing thread.
    ///   - complete: runs once, when the outcome is durable or has failed.
    public func append(
        _ request: AppendRequest, completeOn queue: (any CompletionQueue)?,
        complete: @escaping @Sendable (Result<AppendOutcome, StoreError>) -> Void
    ) {
        submit(AppendMember(request, queue: queue, complete: complete), isBounded: true)
    }

    private func submit(_ member: GroupMember, isBounded: Bool) {
        let verdict = waiting.update { queue -> (Bool, Verdict) in
            if queue.stopping { return (false, .closing) }
            if isBounded, let report = queue.refusal(limits, now: member.times.queued) {
                return (false, .refused(report))
            }
            queue.members.append(member)
            queue.bytes += member.weight
            hooks.queued(queue.members.count, queue.bytes)
            return (queue.members.count == 1, .taken)
        }
        switch verdict {
        case .taken: return
        case .closing: member.fail(StoreError(kind: .failed, "the store is closing"))
        case .refused(let report):
            hooks.refused(report)
            member.fail(StoreError(kind: .busy, "too many writes wait"))
        }
        member.finish()
    }

    /// Whether a write would be taken now; where not, it counts as refused, so that nothing need be made of it.
    public func takesMore() -> Bool {
        let now = MonotonicInstant.count
        guard let report = waiting.update({ (false, $0.refusal(limits, now: now)) }) else { return true }
        hooks.refused(report)
        return false
    }

    /// Queues a write and waits for its outcome.
    public func perform<Outcome: Sendable>(
        _ work: @escaping @Sendable (WriteSession) throws(StoreError) -> Outcome
    ) throws(StoreError) -> Outcome {
        let outcome = Condition<Result<Outcome, StoreError>?>(nil)
        submit(isBounded: false, work) { result in
            outcome.update { state in
                state = result
                return (true, ())
            }
        }
        guard let result = outcome.wait({ $0 }) else {
            throw StoreError(kind: .failed, "no outcome")
        }
        return try result.get()
    }

    /// Reports a failure of work beside the commits; ends the process if what SQLite remembers may differ from the disk.
    public func report(_ error: StoreError) {
        if error.isFailedWrite { hooks.poisoned(error) }
        hooks.failed(error)
    }

    /// Commits what waits and ends the thread.
    public func stop() {
        waiting.update { queue in
            queue.stopping = true
            return (true, ())
        }
        let thread = thread.update { thread in
            defer { thread = nil }
            return (false, thread)
        }
        thread?.join()
    }

    // MARK: The committing thread

    private func run(_ session: WriteSession, _ lock: FileLock) {
        while true {
            let group = waiting.wait { queue -> [GroupMember]? in
                queue.end(at: MonotonicInstant.count)
                if queue.members.isEmpty { return queue.stopping ? [] : nil }
                defer { hooks.queued(queue.members.count, queue.bytes) }
                queue.begin(at: MonotonicInstant.count)
                return GroupCommitter.takeGroup(&queue)
            }
            guard var group, !group.isEmpty else { return }
            commit(&group, session, lock)
        }
    }

    private static func takeGroup(_ queue: inout Queue) -> [GroupMember] {
        var bytes = 0
        var count = 0
        for member in queue.members {
            if count > 0, count >= Queue.groupLimit || bytes + member.weight > Queue.groupBytes { break }
            bytes += member.weight
            count += 1
        }
        queue.bytes -= bytes
        if count == queue.members.count {
            defer { queue.members = [] }
            return queue.members
        }
        let group = Array(queue.members[..<count])
        queue.members.removeFirst(count)
        return group
    }

    private func commit(_ group: inout [GroupMember], _ session: WriteSession, _ lock: FileLock) {
        let taken = MonotonicInstant.count
        do throws(StoreError) {
            try transact(group, session, lock)
        } catch {
            // A failed request must not fail its neighbours: each gets a transaction of its own.
            for member in group {
                do throws(StoreError) {
                    try transact([member], session, lock)
                } catch {
                    if error.kind != .full { hooks.failed(error) }
                    member.fail(error)
                }
            }
        }
        // In their order, each let go as soon as it is handed on: its memory goes back to the thread that it
        // came from.
        group.reverse()
        let committed = MonotonicInstant.count
        while let member = group.popLast() {
            member.times.taken = taken
            member.times.committed = committed
            member.finish()
        }
    }

    private func transact(
        _ group: [GroupMember], _ session: WriteSession, _ lock: FileLock
    ) throws(StoreError) {
        let began = MonotonicInstant.count
        try lock.lock()
        let locked = MonotonicInstant.count
        let applied: Int64
        do throws(StoreError) {
            try session.begin()
            for member in group { try member.apply(session) }
            applied = MonotonicInstant.count
            try session.commit()
            // Of anything but appends it is not known what it has changed.
            if group.allSatisfy(\.isAppend) { session.notes.write(to: journal, session.changed) }
            lock.unlock()
        } catch {
            session.rollback()
            lock.unlock()
            if error.kind == .full {
                space?.noteFull()
                hooks.failed(error)
            }
            if error.kind == .inputOutput {
                // Nobody gets an answer: whether the write is on the disk is not known.
                hooks.poisoned(error)
                for member in group {
                    member.fail(error)
                    member.finish()
                }
            }
            throw error
        }
        if !session.changed.isEmpty { hooks.committed(session.changed) }
        session.forgetChanges()
        hooks.grouped(
            GroupReport(
                requests: group.count, waited: began - (group.first?.times.queued ?? began),
                lockWait: locked - began, commit: MonotonicInstant.count - applied, tally: session.tally))
    }
}
