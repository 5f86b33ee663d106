/// What keeps a server from being started on a store.
public enum StoreCheck {
    /// Looks at a store before any process works on it.
    ///
    /// - Throws: `incomplete` while a restore has not come to its end, `occupied` when it is a backup, `newerSchema` when a newer version of this program
    ///   wrote it. What else may be wrong is for those to say who open it.
    public static func check(_ files: StoreFiles) throws(StoreError) {
        guard !DurableFile.exists(files.restoring) else {
            throw StoreError(
                kind: .incomplete,
                "\(files.folder): a restore into it was cut off; run `durable-streams restore` into it again")
        }
        guard !DurableFile.exists(BackupFiles(folder: files.folder).checksums) else {
            throw StoreError(
                kind: .occupied,
                "\(files.folder) is a backup: `durable-streams restore` copies it into a data directory")
        }
        guard DurableFile.exists(files.hotLog) else { return }
        do throws(StoreError) {
            _ = try Schema.checkedVersion(try Schema.openForReading(files), files)
        } catch {
            if error.kind == .newerSchema { throw error }
        }
    }

    /// Looks at a store that others serve at the moment, before a process of perhaps another version joins them.
    ///
    /// - Throws: `incomplete` when this version would have to change the store first, `newerSchema` as above.
    public static func requireCurrent(_ files: StoreFiles) throws(StoreError) {
        try Schema.requireCurrent(try Schema.openForReading(files), files)
    }
}
