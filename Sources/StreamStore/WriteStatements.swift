/// The statements of the committing connection, compiled once.
struct WriteStatements {
    let begin: SQLiteStatement
    let commit: SQLiteStatement
    let dataVersion: SQLiteStatement
    let findStream: SQLiteStatement
    let findProducer: SQLiteStatement
    let insertStream: SQLiteStatement
    let setIncarnation: SQLiteStatement
    let insertRecord: SQLiteStatement
    let setProducer: SQLiteStatement
    let setLastSequence: SQLiteStatement
    let setDeadline: SQLiteStatement
    let close: SQLiteStatement
    let deleteStream: SQLiteStatement
    let findStreamByID: SQLiteStatement
    let lineage: SQLiteStatement
    let softDelete: SQLiteStatement
    let countForks: SQLiteStatement
    let expired: SQLiteStatement
    let queuePurge: SQLiteStatement
    let insertTombstone: SQLiteStatement
    let nextPurge: SQLiteStatement
    let newestRecord: SQLiteStatement
    let purgeWaits: SQLiteStatement
    let purgeable: SQLiteStatement
    let contentLength: SQLiteStatement
    let purgeRecord: SQLiteStatement
    let purgeEntries: SQLiteStatement
    let insertRun: SQLiteStatement
    let setIndexed: SQLiteStatement
    let purgeProducers: SQLiteStatement
    let purged: SQLiteStatement
    let segment: SegmentStatements
    let retention: RetentionWrites
    let touchLogState: SQLiteStatement
    let freePages: SQLiteStatement
    let allPages: SQLiteStatement
    let vacuum: SQLiteStatement
    let usage: SQLiteStatement
    let anyUsage: SQLiteStatement
    let addUsage: SQLiteStatement

    init(_ connection: SQLiteConnection) throws(StoreError) {
        begin = try connection.prepare("BEGIN IMMEDIATE")
        commit = try connection.prepare("COMMIT")
        dataVersion = try connection.prepare("PRAGMA data_version")
        findStream = try connection.prepare("SELECT \(StreamState.columns) FROM stream WHERE name = ?1")
        findProducer = try connection.prepare(
            "SELECT epoch, sequence FROM producer WHERE stream = ?1 AND id = ?2")
        insertStream = try connection.prepare(
            """
            INSERT INTO stream (incarnation, name, content_type, created_at, closed, ttl, expires_at,
                expires_at_text, deadline, expiry_inherited, base_position, source, source_path, fork_offset,
                fork_sub_offset, lineage, earliest, retention_age, retention_bytes, retention_messages,
                retention_due, public)
            VALUES (0, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
                ?21)
            """)
        setIncarnation = try connection.prepare("UPDATE stream SET incarnation = ?2 WHERE id = ?1")
        insertRecord = try connection.prepare(
            """
            INSERT INTO record (stream, position, units, boundaries, payload, written_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            """)
        setProducer = try connection.prepare(
            """
            INSERT INTO producer (stream, id, epoch, sequence, used_at) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT DO UPDATE SET epoch = excluded.epoch, sequence = excluded.sequence,
                used_at = excluded.used_at
            """)
        setLastSequence = try connection.prepare("UPDATE stream SET last_sequence = ?2 WHERE id = ?1")
        setDeadline = try connection.prepare("UPDATE stream SET deadline = ?2 WHERE id = ?1")
        close = try connection.prepare(
            """
            UPDATE stream SET closed = 1, closed_producer = ?2, closed_epoch = ?3, closed_sequence = ?4
            WHERE id = ?1
            """)
        deleteStream = try connection.prepare("DELETE FROM stream WHERE id = ?1")
        findStreamByID = try connection.prepare("SELECT \(StreamState.columns) FROM stream WHERE id = ?1")
        lineage = try connection.prepare("SELECT lineage FROM stream WHERE id = ?1")
        softDelete = try connection.prepare(
            "UPDATE stream SET soft_deleted = 1, deadline = NULL WHERE id = ?1")
        countForks = try connection.prepare("UPDATE stream SET forks = forks + ?2 WHERE id = ?1")
        expired = try connection.prepare(
            """
            SELECT \(StreamState.columns) FROM stream
            WHERE deadline IS NOT NULL AND deadline <= ?1 AND soft_deleted = 0 LIMIT ?2
            """)
        queuePurge = try connection.prepare(
            """
            INSERT INTO purge (through, stream, below) SELECT coalesce(max(id), 0), ?1, ?2 FROM record WHERE true
            ON CONFLICT DO UPDATE SET below = max(below, excluded.below)
            """)
        insertTombstone = try connection.prepare(
            "INSERT INTO record (stream, position, units, payload) VALUES (0, ?1, 0, x'')")
        nextPurge = try connection.prepare(
            """
            SELECT through, stream, below FROM purge WHERE through <= (SELECT indexed_through FROM log_state)
            AND (?1 OR below = \(Int64.max)) ORDER BY through, stream LIMIT ?2
            """)
        newestRecord = try connection.prepare("SELECT max(id) FROM record")
        purgeWaits = try connection.prepare(
            "SELECT 1 FROM purge WHERE through > (SELECT indexed_through FROM log_state) LIMIT 1")
        purgeable = try connection.prepare(
            """
            SELECT position, record, further, end FROM record_index
            WHERE stream = ?1 AND position >= ?2 AND position < ?3 ORDER BY position LIMIT 1
            """)
        contentLength = try connection.prepare("SELECT length(payload) FROM record WHERE id = ?1")
        purgeRecord = try connection.prepare("DELETE FROM record WHERE id = ?1")
        purgeEntries = try connection.prepare("DELETE FROM record_index WHERE stream = ?1 AND position < ?2")
        insertRun = try connection.prepare(
            "INSERT INTO record_index (stream, position, end, record, further) VALUES (?1, ?2, ?3, ?4, ?5)")
        setIndexed = try connection.prepare("UPDATE log_state SET indexed_through = ?1")
        purgeProducers = try connection.prepare(
            """
            DELETE FROM producer WHERE stream = ?1
            AND id IN (SELECT id FROM producer WHERE stream = ?1 ORDER BY id LIMIT ?2)
            """)
        purged = try connection.prepare(
            "DELETE FROM purge WHERE through = ?1 AND stream = ?2 AND below <= ?3")
        segment = try SegmentStatements(connection)
        retention = try RetentionWrites(connection)
        touchLogState = try connection.prepare("UPDATE log_state SET indexed_through = indexed_through")
        freePages = try connection.prepare("PRAGMA freelist_count")
        allPages = try connection.prepare("PRAGMA page_count")
        usage = try connection.prepare("SELECT streams, bytes FROM project_usage WHERE project = ?1")
        anyUsage = try connection.prepare("SELECT 1 FROM project_usage LIMIT 1")
        addUsage = try connection.prepare("UPDATE project_usage SET bytes = bytes + ?2 WHERE project = ?1")
        vacuum = try connection.prepare("PRAGMA incremental_vacuum(1)")
    }
}
