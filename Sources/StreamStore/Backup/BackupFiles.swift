/// Where the parts of a backup lie: laid out like a data directory, with the checksum of the hot log beside it.
///
/// The hot log has its name only when everything that it refers to is there. So a backup that was cut off is either none
/// yet, or still the one before.
public struct BackupFiles: Sendable {
    /// The folder.
    public let folder: String
    /// The store's files in it.
    public let store: StoreFiles

    /// Names the parts.
    public init(folder: String) {
        self.folder = folder
        store = StoreFiles(folder: folder)
    }

    /// The copy of the hot log.
    var hotLog: String { store.hotLog }
    /// The copy that is being made.
    var unfinishedHotLog: String { hotLog + DurableFile.unfinished }
    /// What `xxhsum -H2` prints of the hot log.
    var checksums: String { hotLog + ".xxh128" }
    /// Locked by who writes the backup.
    var lock: String { folder + "/backup.lock" }

    /// Whether a folder holds a backup, perhaps an unfinished one, rather than a data directory.
    public static func isBackup(_ folder: String) -> Bool {
        let files = BackupFiles(folder: folder)
        return !files.store.isDataDirectory
            && [files.checksums, files.lock, files.unfinishedHotLog].contains { DurableFile.exists($0) }
    }

    /// The checksum of a file's content.
    static func checksum(of path: String) throws(StoreError) -> String {
        SegmentChecksum.text(
            try SegmentChecksum.of { (take) throws(StoreError) in
                try DurableFile.read(path) { part in part.withUnsafeBytes(take) }
            })
    }

    /// Notes that the hot log has one of some checksums: while it is being replaced there are two.
    func note(_ sums: [String]) throws(StoreError) {
        try DurableFile.write(Array(sums.map { "\($0)  hot.sqlite\n" }.joined().utf8), to: checksums)
    }

    /// The checksums that were noted.
    func notedChecksums() throws(StoreError) -> [String] {
        guard DurableFile.exists(checksums) else { return [] }
        var text: [UInt8] = []
        try DurableFile.read(checksums) { text += $0 }
        return String(decoding: text, as: UTF8.self).split(separator: "\n")
            .compactMap { $0.split(separator: " ").first.map(String.init) }
    }

    /// What is wrong with the hot log; nil: nothing.
    func damage() throws(StoreError) -> String? {
        guard DurableFile.exists(hotLog) else {
            return DurableFile.exists(unfinishedHotLog)
                ? "is missing: the backup was cut off" : "is missing: there is no backup here"
        }
        return try notedChecksums().contains(BackupFiles.checksum(of: hotLog)) ? nil : "has another checksum"
    }
}
