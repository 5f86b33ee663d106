/// Where the store's files lie.
public struct StoreFiles: Sendable {
    /// The folder that holds all of them.
    public let folder: String
    /// The immutable segments.
    public let segments: SegmentFiles

    /// Names the files of a folder.
    ///
    /// - Parameters:
    ///   - folder: a path without a slash at its end.
    ///   - segments: the folder of the segments; nil: `segments` in `folder`.
    public init(folder: String, segments: String? = nil) {
        self.folder = folder
        self.segments = SegmentFiles(SegmentFolder(path: segments ?? folder + "/segments"))
    }

    /// The SQLite database.
    public var hotLog: String { folder + "/hot.sqlite" }
    /// Locked by whoever writes the hot log.
    public var writeLock: String { folder + "/write.lock" }
    /// Locked by the one process that does the chores.
    public var choresLock: String { folder + "/chores.lock" }
    /// Locked by whoever removes segment files, or needs them to stay for a while.
    public var filesLock: String { folder + "/files.lock" }
    /// Locked by the server on this folder, or by a restore into it.
    public var serverLock: String { folder + "/lock" }
    /// The key that secrets of projects are sealed with; backups do not hold it.
    public var secretsKey: String { folder + "/secrets.key" }
    /// Whether a server has worked here, or a restore.
    var isDataDirectory: Bool {
        [writeLock, serverLock, restoring].contains { DurableFile.exists($0) }
    }
    /// Is there while a restore has not come to its end.
    public var restoring: String { folder + "/restoring" }
}
