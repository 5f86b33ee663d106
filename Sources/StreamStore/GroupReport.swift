/// What a committed transaction was, for whoever counts.
public struct GroupReport: Sendable {
    /// Writes in it.
    public var requests: Int
    /// Nanoseconds that the oldest of them waited for it to begin.
    public var waited: Int64
    /// Nanoseconds that it waited for the transactions of other processes.
    public var lockWait: Int64
    /// Nanoseconds that its commit took, with the fsync.
    public var commit: Int64
    /// What it has done.
    public var tally: WriteTally
}

/// What the writes of a transaction have done.
public struct WriteTally: Equatable, Sendable {
    /// Records that were stored.
    public var appends = 0
    /// Messages in them; of byte streams, records.
    public var messages = 0
    /// Bytes of content in them.
    public var bytes = 0
    /// Streams that were made.
    public var created = 0
    /// Streams that were deleted by somebody.
    public var deleted = 0
    /// Streams whose time was over.
    public var expired = 0
    /// Segments made of hot records.
    public var rotations = 0
    /// Segments made of smaller ones.
    public var merges = 0
    /// Records removed behind their streams or segments.
    public var purged = 0
    /// Segment files that were removed.
    public var removedFiles = 0

    /// Nothing done.
    public init() {}
}

/// When a write passed the committing thread, in nanoseconds of the monotonic clock; 0: not yet.
public struct WriteTimes: Sendable {
    /// It was queued.
    public var queued: Int64 = 0
    /// It was taken into a group.
    public var taken: Int64 = 0
    /// The group was durable, or had failed.
    public var committed: Int64 = 0

    /// Of what was never queued.
    public init() {}
}
