import CSQLite
import StreamProtocol

/// Changes the registry of projects, one transaction for each change, beside a running server or without one.
public final class RegistryWriter {
    private let connection: SQLiteConnection
    private let lock: FileLock

    /// Opens the hot log, making it where there is none.
    public init(_ files: StoreFiles) throws(StoreError) {
        try DurableFile.makeFolder(files.folder)
        let lock = try FileLock(path: files.writeLock)
        // Two processes may make the same new file at once.
        try lock.lock()
        defer { lock.unlock() }
        self.lock = lock
        connection = try Schema.openForWriting(files)
    }

    /// Registers a project with its first secret; gives the secret's id.
    ///
    /// - Parameter now: milliseconds since 1970.
    /// - Throws: `occupied` when the name is taken.
    public func create(_ name: String, sealed: [UInt8], now: Int64) throws(StoreError) -> Int64 {
        try change { () throws(StoreError) in
            guard try self.find(name) == nil else {
                throw StoreError(kind: .occupied, "project \(name) exists")
            }
            let insert = try self.connection.prepare("INSERT INTO project (name, created_at) VALUES (?1, ?2)")
            insert.bind(1, name)
            insert.bind(2, now)
            try insert.run()
            let project = self.connection.lastInsertedRow
            let count = try self.connection.prepare(RegistrySchema.usage)
            count.bind(1, name)
            try count.run()
            return try self.insertSecret(project, sealed, now)
        }
    }

    /// Adds a secret, which becomes the newest; gives its id.
    ///
    /// - Throws: `absent` when there is no such project.
    public func addSecret(_ sealed: [UInt8], to name: String, now: Int64) throws(StoreError) -> Int64 {
        try change { () throws(StoreError) in
            try self.insertSecret(try self.require(name), sealed, now)
        }
    }

    /// Removes a secret.
    ///
    /// - Throws: `absent` when there is no such project or secret, `inUse` when it is the last one.
    public func removeSecret(_ id: Int64, of name: String) throws(StoreError) {
        try change { () throws(StoreError) in
            let project = try self.require(name)
            let known = try self.connection.prepare("SELECT id FROM project_secret WHERE project = ?1")
            known.bind(1, project)
            var ids: [Int64] = []
            while try known.step() { ids.append(known.int(0)) }
            guard ids.contains(id) else {
                throw StoreError(
                    kind: .absent,
                    "project \(name) has no secret \(id): it has \(ids.map(String.init).joined(separator: ", "))"
                )
            }
            guard ids.count > 1 else {
                throw StoreError(
                    kind: .inUse,
                    "secret \(id) is the last one of project \(name): run `durable-streams add-secret \(name)` first"
                )
            }
            let remove = try self.connection.prepare("DELETE FROM project_secret WHERE id = ?1")
            remove.bind(1, id)
            try remove.run()
        }
    }

    /// Says from which origins browsers may use a project; `["*"]`: from any.
    public func setOrigins(_ origins: [String], of name: String) throws(StoreError) {
        try change { () throws(StoreError) in
            let update = try self.connection.prepare("UPDATE project SET origins = ?2 WHERE id = ?1")
            update.bind(1, try self.require(name))
            update.bind(2, origins.joined(separator: " "))
            try update.run()
        }
    }

    /// Limits a project.
    public func setQuota(_ quota: ProjectQuota, of name: String) throws(StoreError) {
        try change { () throws(StoreError) in
            let update = try self.connection.prepare(
                "UPDATE project SET stream_quota = ?2, byte_quota = ?3, body_quota = ?4 WHERE id = ?1")
            update.bind(1, try self.require(name))
            update.bind(2, quota.streams)
            update.bind(3, quota.bytes)
            update.bind(4, quota.body)
            try update.run()
        }
    }

    /// Gives all streams of a project new reader keys.
    public func rotateReaderKeys(of name: String) throws(StoreError) {
        try change { () throws(StoreError) in
            let update = try self.connection.prepare(
                "UPDATE project SET reader_generation = reader_generation + 1 WHERE id = ?1")
            update.bind(1, try self.require(name))
            try update.run()
        }
    }

    /// Gives one stream a new reader key.
    public func rotateReaderKey(of stream: StreamName) throws(StoreError) {
        try change { () throws(StoreError) in
            let update = try self.connection.prepare(
                "UPDATE stream SET reader_generation = reader_generation + 1 WHERE name = ?1 AND soft_deleted = 0"
            )
            update.bind(1, stream.text)
            try update.run()
            guard self.connection.changedRows == 1 else {
                throw StoreError(kind: .absent, "there is no stream \(stream.text)")
            }
        }
    }

    // MARK: Steps

    private func change<T>(_ body: () throws(StoreError) -> T) throws(StoreError) -> T {
        try lock.lock()
        defer { lock.unlock() }
        try connection.execute("BEGIN IMMEDIATE")
        do throws(StoreError) {
            let value = try body()
            try connection.execute("UPDATE registry SET version = version + 1; COMMIT")
            return value
        } catch {
            connection.rollback()
            throw error
        }
    }

    private func find(_ name: String) throws(StoreError) -> Int64? {
        let find = try connection.prepare("SELECT id FROM project WHERE name = ?1")
        find.bind(1, name)
        guard try find.step() else { return nil }
        defer { find.reset() }
        return find.int(0)
    }

    private func require(_ name: String) throws(StoreError) -> Int64 {
        guard let project = try find(name) else {
            throw StoreError(
                kind: .absent, "there is no project \(name): `durable-streams projects` lists them")
        }
        return project
    }

    private func insertSecret(_ project: Int64, _ sealed: [UInt8], _ now: Int64) throws(StoreError) -> Int64 {
        let insert = try connection.prepare(
            "INSERT INTO project_secret (project, created_at, sealed) VALUES (?1, ?2, ?3)")
        insert.bind(1, project)
        insert.bind(2, now)
        try insert.withBlob(3, sealed) { () throws(StoreError) in try insert.run() }
        return connection.lastInsertedRow
    }
}
