/// A project as it is stored: its secrets are sealed.
public struct ProjectRecord: Equatable, Sendable {
    /// Row id.
    public let id: Int64
    /// 1…64 characters (`StreamName.isProjectName`).
    public let name: String
    /// Milliseconds since 1970.
    public let createdAt: Int64
    /// Origins that browsers may use it from; `*` alone: any; none: no browser of another origin.
    public let origins: [String]
    /// Its limits.
    public let quota: ProjectQuota
    /// Raised by each change of the reader keys of all its streams.
    public let readerGeneration: Int64
    /// Newest first.
    public let secrets: [SealedSecret]
}

/// A secret that only the holder of the secrets key can open.
public struct SealedSecret: Equatable, Sendable {
    /// Never given twice.
    public let id: Int64
    /// Milliseconds since 1970.
    public let createdAt: Int64
    /// Sealed by whoever registered it; the store doesn't look inside.
    public let sealed: [UInt8]
}

/// What a project may take; nil: as much as there is.
public struct ProjectQuota: Equatable, Sendable {
    /// Most streams.
    public var streams: Int64?
    /// Most bytes of stored content.
    public var bytes: Int64?
    /// Most bytes of a request body.
    public var body: Int64?

    /// Collects the limits.
    public init(streams: Int64? = nil, bytes: Int64? = nil, body: Int64? = nil) {
        self.streams = streams
        self.bytes = bytes
        self.body = body
    }

    /// Whether nothing is limited.
    public var isUnlimited: Bool { streams == nil && bytes == nil && body == nil }
}

/// What a project takes.
public struct ProjectUsage: Equatable, Sendable {
    /// Streams, soft-deleted ones included.
    public let streams: Int64
    /// Bytes of content in segments and in the indexed part of the hot log.
    public let bytes: Int64

    /// Collects the counts.
    public init(streams: Int64 = 0, bytes: Int64 = 0) {
        self.streams = streams
        self.bytes = bytes
    }
}
