/// How many writes may wait for the committing thread. What comes on top is told to come again at once, which bounds
/// memory and the time that anybody waits, also behind load that ends.
public struct QueueLimits: Sendable {
    /// Most writes that wait.
    public var requests: Int
    /// Most bytes of them; one write of any size is taken while there are fewer.
    public var bytes: Int
    /// Longest that a write may be expected to wait behind the full transactions before it and the rest of the one in hand,
    /// in nanoseconds. A transaction
    /// that takes four times as long counts as stalled: nothing is taken on top of what waits for it.
    public var wait: Int64

    /// Collects the limits; those of the server's settings, if nothing else is said.
    public init(requests: Int = 4_096, bytes: Int = 256 << 20, wait: Int64 = 2_000_000_000) {
        self.requests = requests
        self.bytes = bytes
        self.wait = wait
    }
}

/// What waited when a write was refused.
public struct QueueReport: Sendable {
    /// Which limit it would have exceeded.
    public enum Limit: Sendable {
        case requests, bytes, wait, stall
    }

    /// Which limit it would have exceeded.
    public let limit: Limit
    /// Writes that wait.
    public let requests: Int
    /// Bytes of them.
    public let bytes: Int
    /// Nanoseconds that a transaction takes; of a stalled one, that it has taken already.
    public let nanoseconds: Int64
}

/// The writes that wait for the committing thread, and how fast it is.
struct WriteQueue<Member> {
    /// Most requests and bytes in one transaction, so that its latency stays bounded.
    static var groupLimit: Int { 1_024 }
    static var groupBytes: Int { 16 << 20 }
    /// Stalled is what takes this many times the longest wait.
    private static var stall: Int64 { 4 }

    var members: [Member] = []
    var bytes = 0
    var stopping = false

    /// When the transaction in hand began; 0: none is.
    private var began: Int64 = 0
    /// What the last transactions took in nanoseconds, the last one counting for a quarter.
    private var average: Int64 = 0

    /// Why one more write is refused; nil: it isn't.
    func refusal(_ limits: QueueLimits, now: Int64) -> QueueReport? {
        let limit: QueueReport.Limit
        let elapsed = began == 0 ? 0 : now - began
        // What is left of the transaction in hand: a slow one alone is no reason.
        let rest = began == 0 ? 0 : max(0, average - elapsed)
        if members.count >= limits.requests {
            limit = .requests
        } else if bytes >= limits.bytes {
            limit = .bytes
        } else if elapsed / WriteQueue.stall >= limits.wait {
            limit = .stall
        } else if fullGroups > 0, rest + Int64(fullGroups) * average >= limits.wait {
            limit = .wait
        } else {
            return nil
        }
        return QueueReport(
            limit: limit, requests: members.count, bytes: bytes,
            nanoseconds: limit == .stall ? elapsed : average)
    }

    /// Transactions that are full before one more write gets its turn, without the one in hand.
    private var fullGroups: Int {
        max(members.count / WriteQueue.groupLimit, bytes / WriteQueue.groupBytes)
    }

    /// The committing thread begins with a transaction.
    mutating func begin(at now: Int64) { began = now }

    /// It is done with it.
    mutating func end(at now: Int64) {
        guard began != 0 else { return }
        average += (now - began - average) / 4
        began = 0
    }
}
