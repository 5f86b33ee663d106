/// A write whose outcome is known.
public protocol Completion: AnyObject, Sendable {
    /// Tells whoever submitted it; called once.
    func complete()
    /// When it passed the committing thread.
    var times: WriteTimes { get }
}

/// Takes finished writes to the thread that submitted them. What a thread allocates it then frees itself, which
/// the allocator rewards: freed by the committing thread, an append's memory cost a quarter of a worker's time.
public protocol CompletionQueue: AnyObject, Sendable {
    /// Queues a completion; called on the committing thread, which must not wait.
    func post(_ completion: any Completion)
}

/// One request in a group.
///
/// `@unchecked Sendable`: it belongs to the thread that submits it, then to the committing one, then to the one that
/// completes it, handed on through queues.
class GroupMember: Completion, @unchecked Sendable {
    let weight: Int
    /// Whether it is an append, of which it is known what it changes.
    var isAppend: Bool { false }
    private let queue: (any CompletionQueue)?
    private var isFinished = false
    var times = WriteTimes()

    init(weight: Int, queue: (any CompletionQueue)?) {
        self.weight = weight
        self.queue = queue
        times.queued = MonotonicInstant.count
    }

    func apply(_ session: WriteSession) throws(StoreError) {}

    /// Notes that the outcome is a failure.
    func fail(_ error: StoreError) {}

    func complete() {}

    /// Hands the outcome on, once.
    final func finish() {
        guard !isFinished else { return }
        isFinished = true
        if let queue { queue.post(self) } else { complete() }
    }
}

/// `@unchecked Sendable`: as its base.
final class Member<Outcome: Sendable>: GroupMember, @unchecked Sendable {
    private let work: @Sendable (WriteSession) throws(StoreError) -> Outcome
    private let callback: @Sendable (Result<Outcome, StoreError>) -> Void
    private var outcome: Result<Outcome, StoreError>?

    init(
        weight: Int, queue: (any CompletionQueue)?,
        work: @escaping @Sendable (WriteSession) throws(StoreError) -> Outcome,
        complete: @escaping @Sendable (Result<Outcome, StoreError>) -> Void
    ) {
        self.work = work
        callback = complete
        super.init(weight: weight, queue: queue)
    }

    override func apply(_ session: WriteSession) throws(StoreError) { outcome = .success(try work(session)) }

    override func fail(_ error: StoreError) {
        outcome = .failure(error)
    }

    override func complete() {
        if let outcome { callback(outcome) }
    }
}

/// `@unchecked Sendable`: as its base.
final class AppendMember: GroupMember, @unchecked Sendable {
    private let request: AppendRequest
    private let callback: @Sendable (Result<AppendOutcome, StoreError>) -> Void
    private var outcome: Result<AppendOutcome, StoreError>?

    init(
        _ request: AppendRequest, queue: (any CompletionQueue)?,
        complete: @escaping @Sendable (Result<AppendOutcome, StoreError>) -> Void
    ) {
        self.request = request
        callback = complete
        super.init(weight: request.bytes, queue: queue)
    }

    override var isAppend: Bool { true }

    override func apply(_ session: WriteSession) throws(StoreError) {
        outcome = .success(try session.append(request))
    }

    override func fail(_ error: StoreError) { outcome = .failure(error) }

    override func complete() {
        if let outcome { callback(outcome) }
    }
}
