import StreamProtocol

/// The body of a write, prepared before it reaches the one thread that commits.
public enum PreparedBody: Sendable {
    /// No body.
    case none
    /// Bytes for a byte stream.
    case bytes([UInt8])
    /// The messages of a JSON body; nil when it is not valid JSON.
    case json(JSONMessages?)
    /// The body of a fork that takes its content type from its source.
    case undecided([UInt8])

    /// What counts towards the size of a group, in bytes.
    var weight: Int {
        switch self {
        case .none, .json(nil): 0
        case .bytes(let bytes), .undecided(let bytes): bytes.count
        case .json(.some(let messages)): messages.payload.count
        }
    }
}

/// A creation (PROTOCOL section 3.1).
public struct CreateRequest: Sendable {
    /// Which stream.
    public var name: StreamName
    /// As given; nil: the source's, or the default.
    public var contentType: String?
    /// How long it shall live.
    public var lifetime: Lifetime
    /// Whether it is complete with its body.
    public var closed: Bool
    /// Its first content.
    public var body: PreparedBody
    /// Milliseconds since 1970.
    public var now: Int64
    /// What it is a fork of.
    public var fork: ForkRequest?
    /// How much of it is to be kept.
    public var retention: Retention
    /// The server's default of that.
    public var retentionDefaults: Retention
    /// Whether anyone may read it.
    public var isPublic: Bool
    /// What its project may take; nil: as much as there is.
    public var quota: ProjectQuota?

    /// Collects the parts.
    public init(
        name: StreamName, contentType: String?, lifetime: Lifetime, closed: Bool, body: PreparedBody,
        now: Int64, fork: ForkRequest? = nil, retention: Retention = Retention(),
        retentionDefaults: Retention = Retention(), isPublic: Bool = false, quota: ProjectQuota? = nil
    ) {
        self.isPublic = isPublic
        self.quota = quota
        self.fork = fork
        self.retention = retention
        self.retentionDefaults = retentionDefaults
        self.name = name
        self.contentType = contentType
        self.lifetime = lifetime
        self.closed = closed
        self.body = body
        self.now = now
    }
}

/// What became of a creation.
public enum CreateOutcome: Sendable {
    /// A new stream, with its tail.
    case created(StreamState, tail: Int64)
    /// The stream exists and is as asked for.
    case matches(StreamState, tail: Int64)
    /// The stream exists and is different.
    case conflict
    /// The name is held by a soft-deleted stream.
    case gone
    /// The body is not valid JSON.
    case invalidJSON
    /// The disk is too full for a new stream.
    case full
    /// There is no source.
    case sourceAbsent
    /// The source is soft-deleted.
    case sourceGone
    /// The content type asked for is not the source's.
    case sourceMediaType
    /// The fork offset is beyond the source's tail, or of another incarnation.
    case forkOffset
    /// The fork offset is before what the source still keeps, which begins there.
    case forkOffsetGone(earliest: Offset)
    /// The sub-offset leads too far.
    case forkSubOffset
    /// Whoever asks may not read the source.
    case sourceForbidden
    /// The project has all that it may take.
    case overQuota
}

/// An append, a closure, or both (PROTOCOL section 3.2). A class, since it travels through threads and closures:
/// one reference to count instead of one for each of its strings.
public final class AppendRequest: Sendable {
    /// Which stream.
    public let name: StreamName
    /// What the decision table looks at.
    public let conditions: AppendConditions
    /// What to append.
    public let body: PreparedBody
    /// Milliseconds since 1970.
    public let now: Int64
    /// What its project may take; nil: as much as there is.
    public let quota: ProjectQuota?
    /// Bytes of the body as it came.
    public let bytes: Int

    /// Collects the parts.
    public init(
        name: StreamName, conditions: AppendConditions, body: PreparedBody, now: Int64,
        quota: ProjectQuota? = nil, bytes: Int? = nil
    ) {
        self.quota = quota
        self.bytes = bytes ?? body.weight
        self.name = name
        self.conditions = conditions
        self.body = body
        self.now = now
    }
}

/// What became of an append.
public enum AppendOutcome: Sendable {
    /// No such stream.
    case absent
    /// Soft-deleted.
    case gone
    /// Appended, closed, or both; the new tail.
    case accepted(tail: Offset, closed: Bool)
    /// Anything but `accept`; the tail as it is.
    case judged(AppendVerdict, tail: Offset)
    /// The body is not valid JSON.
    case invalidJSON
    /// The body is an empty JSON array.
    case emptyArray
    /// The disk is too full for more.
    case full
    /// The project has all that it may take.
    case overQuota
}

/// What became of a deletion.
public enum DeleteOutcome: Sendable {
    /// No such stream.
    case absent
    /// Soft-deleted before.
    case gone
    /// Removed.
    case deleted
}
