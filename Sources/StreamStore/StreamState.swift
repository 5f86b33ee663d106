import StreamProtocol

/// How long a stream lives (PROTOCOL section 8).
public enum Lifetime: Equatable, Sendable {
    /// Until it is deleted.
    case unlimited
    /// A sliding window in seconds, restarted by each touch.
    case window(seconds: Int64)
    /// Until an instant (milliseconds since 1970); `text` is how the client wrote it.
    case until(milliseconds: Int64, text: String)

    /// When a stream ends that was touched last at `touch` (both in milliseconds since 1970); nil: never.
    func deadline(touchedAt touch: Int64) -> Int64? {
        switch self {
        case .unlimited: nil
        case .window(let seconds): touch + seconds * 1_000
        case .until(let milliseconds, _): milliseconds
        }
    }

    /// How much later than needed a renewed deadline is stored, in milliseconds, so that most touches
    /// need no write: 2 % of the window, a minute at most. A stream never expires early by it.
    var renewalSlack: Int64 {
        guard case .window(let seconds) = self else { return 0 }
        return min(seconds * 20, 60_000)
    }
}

/// What the store knows of a stream, less its tail and its content.
public struct StreamState: Equatable, Sendable {
    /// Unique for each creation, never given again: the instance id of entity tags.
    public var id: Int64
    /// The incarnation part of the stream's offsets: its own id, or, for a fork, that of its source.
    public var incarnation: Int64
    /// Identity.
    public var name: StreamName
    /// As given at creation.
    public var contentType: String
    /// Its comparable part.
    public var mediaType: MediaType
    /// Whether the stream is closed.
    public var closed: Bool
    /// The tuple of the producer's request that closed it.
    public var closedBy: ProducerTuple?
    /// How long it lives.
    public var lifetime: Lifetime
    /// When it ends unless touched, in milliseconds since 1970; nil: never.
    public var deadline: Int64?
    /// The last accepted `Stream-Seq`.
    public var lastSequence: String?
    /// The position before the first record.
    public var basePosition: Int64
    /// The position before the first unit that is still kept; nothing before it can be read.
    public var earliest: Int64
    /// What it asked for at its creation.
    public var retention: Retention
    /// Whether anyone may read it.
    public var isPublic = false
    /// When it was created, in milliseconds since 1970.
    public var createdAt: Int64 = 0
    /// Raised by each change of its reader key.
    public var readerGeneration: Int64 = 0
    /// When the store was restored from a copy, in microseconds since 1970; 0: never.
    public var restoredAt: Int64 = 0
    /// Removed by its owner while forks still need its data.
    public var softDeleted: Bool
    /// How many existing forks name this stream as their direct source.
    public var forks: Int64
    /// Where it was forked from, if it was.
    public var fork: ForkLink?
    /// Whether the lifetime came from the source.
    public var lifetimeIsInherited: Bool

    /// What entity tags know the stream by: after a restore other content may come to lie at the same positions.
    public var instance: Int64 { id + restoredAt }

    /// Whether the stream has ended at a time (milliseconds since 1970).
    public func isExpired(at now: Int64) -> Bool { deadline.map { now >= $0 } ?? false }

    /// Where a stream without records and segments ends: behind what was inherited, and behind what was given up.
    var emptyTail: Int64 { max(basePosition, earliest) }

    /// An offset of this stream.
    public func offset(_ position: Int64) -> Offset { Offset(incarnation: incarnation, position: position) }

    /// Whether a touch at `now` must be written down to keep the stream from expiring early.
    public func needsTouch(at now: Int64) -> Bool {
        guard case .window = lifetime, let deadline, let wanted = lifetime.deadline(touchedAt: now) else {
            return false
        }
        return wanted > deadline
    }

    static let columns = """
        id, incarnation, name, content_type, closed, closed_producer, closed_epoch, closed_sequence,
        ttl, expires_at, expires_at_text, deadline, last_sequence, base_position, soft_deleted, forks,
        expiry_inherited, source, source_path, fork_offset, fork_sub_offset,
        earliest, retention_age, retention_bytes, retention_messages, public, created_at, reader_generation
        """

    /// Reads the columns named by `columns`.
    init(row: SQLiteStatement) {
        id = row.int(0)
        incarnation = row.int(1)
        name = StreamName(text: row.text(2))
        contentType = row.text(3)
        mediaType = MediaType(contentType: contentType)
        closed = row.int(4) != 0
        if let producer = row.optionalText(5) {
            closedBy = ProducerTuple(id: producer, epoch: row.int(6), sequence: row.int(7))
        }
        if let seconds = row.optionalInt(8) {
            lifetime = .window(seconds: seconds)
        } else if let instant = row.optionalInt(9) {
            lifetime = .until(milliseconds: instant, text: row.text(10))
        } else {
            lifetime = .unlimited
        }
        deadline = row.optionalInt(11)
        lastSequence = row.optionalText(12)
        basePosition = row.int(13)
        softDeleted = row.int(14) != 0
        forks = row.int(15)
        lifetimeIsInherited = row.int(16) != 0
        if let source = row.optionalInt(17) {
            fork = ForkLink(
                source: source, sourceName: row.text(18), offset: row.text(19), subOffset: row.int(20))
        }
        earliest = row.int(21)
        retention = Retention(
            age: row.optionalInt(22), bytes: row.optionalInt(23), messages: row.optionalInt(24))
        isPublic = row.int(25) != 0
        createdAt = row.int(26)
        readerGeneration = row.int(27)
    }

    init(
        id: Int64, incarnation: Int64, name: StreamName, contentType: String, closed: Bool,
        lifetime: Lifetime, deadline: Int64?
    ) {
        self.id = id
        self.incarnation = incarnation
        self.name = name
        self.contentType = contentType
        mediaType = MediaType(contentType: contentType)
        self.closed = closed
        self.lifetime = lifetime
        self.deadline = deadline
        basePosition = 0
        earliest = 0
        retention = Retention()
        softDeleted = false
        forks = 0
        lifetimeIsInherited = false
    }
}

/// Whether a name leads to a stream.
public enum Presence<Found> {
    /// No such stream, or an expired one that nothing needs (404).
    case absent
    /// Soft-deleted (410).
    case gone
    /// The stream.
    case present(Found)
}

extension Presence: Sendable where Found: Sendable {}
