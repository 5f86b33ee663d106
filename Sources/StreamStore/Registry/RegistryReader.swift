import CSQLite

/// Reads the registry of projects; used by one thread at a time.
public final class RegistryReader {
    private let connection: SQLiteConnection
    private let begin: SQLiteStatement
    private let commit: SQLiteStatement
    private let version: SQLiteStatement
    private let projects: SQLiteStatement
    private let secrets: SQLiteStatement
    private let usage: SQLiteStatement
    private let recent: SQLiteStatement

    /// Opens the hot log, which a writer must have made before.
    public convenience init(_ files: StoreFiles) throws(StoreError) {
        try self.init(try Schema.openForReading(files))
    }

    init(_ connection: SQLiteConnection) throws(StoreError) {
        self.connection = connection
        begin = try connection.prepare("BEGIN")
        commit = try connection.prepare("COMMIT")
        version = try connection.prepare("SELECT version FROM registry")
        projects = try connection.prepare(
            """
            SELECT id, name, created_at, origins, stream_quota, byte_quota, body_quota, reader_generation
            FROM project ORDER BY name
            """)
        secrets = try connection.prepare(
            "SELECT project, id, created_at, sealed FROM project_secret ORDER BY project, id DESC")
        usage = try connection.prepare("SELECT project, streams, bytes FROM project_usage")
        recent = try connection.prepare(
            """
            SELECT substr(name, 1, instr(name, '/') - 1), sum(length(payload))
            FROM record JOIN stream ON stream.id = record.stream
            WHERE record.id > (SELECT indexed_through FROM log_state) GROUP BY 1
            """)
    }

    /// Another with each change of the registry.
    public func currentVersion() throws(StoreError) -> Int64 {
        guard try version.step() else { return 0 }
        defer { version.reset() }
        return version.int(0)
    }

    /// All projects by name, and the version that they are of.
    public func load() throws(StoreError) -> (version: Int64, projects: [ProjectRecord]) {
        try connection.readTransaction(begin: begin, commit: commit) { () throws(StoreError) in
            (try self.currentVersion(), try self.read())
        }
    }

    /// What each registered project takes.
    public func usages() throws(StoreError) -> [String: ProjectUsage] {
        try connection.readTransaction(begin: begin, commit: commit) { () throws(StoreError) in
            var pending: [String: Int64] = [:]
            while try self.recent.step() { pending[self.recent.text(0)] = self.recent.int(1) }
            var found: [String: ProjectUsage] = [:]
            while try self.usage.step() {
                let project = self.usage.text(0)
                found[project] = ProjectUsage(
                    streams: self.usage.int(1), bytes: self.usage.int(2) + (pending[project] ?? 0))
            }
            return found
        }
    }

    private func read() throws(StoreError) -> [ProjectRecord] {
        var sealed: [Int64: [SealedSecret]] = [:]
        while try secrets.step() {
            sealed[secrets.int(0), default: []].append(
                SealedSecret(
                    id: secrets.int(1), createdAt: secrets.int(2), sealed: Array(secrets.blob(3))))
        }
        var found: [ProjectRecord] = []
        while try projects.step() {
            found.append(
                ProjectRecord(
                    id: projects.int(0), name: projects.text(1), createdAt: projects.int(2),
                    origins: projects.text(3).split(separator: " ").map(String.init),
                    quota: ProjectQuota(
                        streams: projects.optionalInt(4), bytes: projects.optionalInt(5),
                        body: projects.optionalInt(6)),
                    readerGeneration: projects.int(7), secrets: sealed[projects.int(0)] ?? []))
        }
        return found
    }
}
