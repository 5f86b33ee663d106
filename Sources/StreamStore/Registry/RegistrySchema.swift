/// The tables of projects, their secrets, limits and use.
enum RegistrySchema {
    /// 3: who may read a stream, when a record was written, and the registry of projects.
    ///
    /// What a project uses is counted for projects that are registered: streams and segments by triggers, the hot log
    /// where records are entered into the index (`countUsage`), which is off the commit path. The bytes of a stream are
    /// those of its segments and of its indexed hot part; they leave the count with the stream's row, so what the purge
    /// removes later finds no stream and changes nothing.
    static let third = """
        ALTER TABLE stream ADD COLUMN public INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE stream ADD COLUMN reader_generation INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE record ADD COLUMN written_at INTEGER NOT NULL DEFAULT 0;
        CREATE TABLE registry (version INTEGER NOT NULL) STRICT;
        INSERT INTO registry VALUES (0);
        CREATE TABLE project (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            created_at INTEGER NOT NULL,
            origins TEXT NOT NULL DEFAULT '',
            stream_quota INTEGER,
            byte_quota INTEGER,
            body_quota INTEGER,
            reader_generation INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE TABLE project_secret (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            project INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            sealed BLOB NOT NULL
        ) STRICT;
        CREATE INDEX secret_by_project ON project_secret (project);
        CREATE TABLE project_usage (
            project TEXT PRIMARY KEY,
            streams INTEGER NOT NULL,
            bytes INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        """ + triggers

    private static let triggers =
        counting("stream_added", "AFTER INSERT ON stream", streams: "1", bytes: "0", name: "NEW.name")
        + counting(
            "stream_removed", "BEFORE DELETE ON stream", streams: "-1",
            bytes: """
                -(SELECT coalesce(sum(bytes), 0) FROM segment WHERE stream = OLD.id)
                - coalesce((SELECT bytes FROM hot WHERE stream = OLD.id), 0)
                """, name: "OLD.name")
        + counting("segment_added", "AFTER INSERT ON segment", bytes: "NEW.bytes", stream: "NEW.stream")
        + counting("segment_removed", "AFTER DELETE ON segment", bytes: "-OLD.bytes", stream: "OLD.stream")
        + counting("hot_removed", "AFTER DELETE ON hot", bytes: "-OLD.bytes", stream: "OLD.stream")

    private static func counting(
        _ trigger: String, _ event: String, streams: String = "0", bytes: String, stream: String
    ) -> String {
        counting(
            trigger, event, streams: streams, bytes: bytes,
            name: "(SELECT name FROM stream WHERE id = \(stream))")
    }

    private static func counting(
        _ trigger: String, _ event: String, streams: String, bytes: String, name: String
    ) -> String {
        """

        CREATE TRIGGER \(trigger) \(event) WHEN EXISTS (SELECT 1 FROM project_usage) BEGIN
            UPDATE project_usage SET streams = streams + \(streams), bytes = bytes + (\(bytes))
            WHERE project = (SELECT substr(name, 1, instr(name, '/') - 1) FROM (SELECT \(name) AS name));
        END;
        """
    }

    /// What the streams of a project (?1) take now, for the time when it is registered: names sort by project, `/` is the
    /// character before `0`.
    static let usage = """
        INSERT INTO project_usage
        SELECT ?1, count(*), coalesce(sum(
            (SELECT coalesce(sum(bytes), 0) FROM segment WHERE segment.stream = stream.id)
            + coalesce((SELECT bytes FROM hot WHERE hot.stream = stream.id), 0)), 0)
        FROM stream WHERE name > ?1 || '/' AND name < ?1 || '0'
        """
}
