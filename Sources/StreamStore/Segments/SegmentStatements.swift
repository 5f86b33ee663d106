/// The statements of the committing connection that concern segments.
struct SegmentStatements {
    let queueRotation: SQLiteStatement
    let endRotation: SQLiteStatement
    let anyRotation: SQLiteStatement
    let addHot: SQLiteStatement
    let hot: SQLiteStatement
    let forgetHot: SQLiteStatement
    let insert: SQLiteStatement
    let remove: SQLiteStatement
    let ofStream: SQLiteStatement
    let throwAway: SQLiteStatement
    let forgetGarbage: SQLiteStatement

    init(_ connection: SQLiteConnection) throws(StoreError) {
        queueRotation = try connection.prepare("INSERT OR IGNORE INTO rotation (stream) VALUES (?1)")
        endRotation = try connection.prepare("DELETE FROM rotation WHERE stream = ?1")
        anyRotation = try connection.prepare("SELECT 1 FROM rotation LIMIT 1")
        addHot = try connection.prepare(
            """
            INSERT INTO hot (stream, messages, bytes) VALUES (?1, ?2, ?3)
            ON CONFLICT DO UPDATE SET messages = messages + excluded.messages, bytes = bytes + excluded.bytes
            """)
        hot = try connection.prepare("SELECT messages, bytes FROM hot WHERE stream = ?1")
        forgetHot = try connection.prepare("DELETE FROM hot WHERE stream = ?1")
        insert = try connection.prepare(
            """
            INSERT INTO segment (stream, start, end, bytes, checksum, tier, appends, newest, ends)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
            """)
        remove = try connection.prepare("DELETE FROM segment WHERE id = ?1")
        ofStream = try connection.prepare(
            "SELECT \(Segment.columns) FROM segment WHERE stream = ?1 ORDER BY start LIMIT ?2")
        throwAway = try connection.prepare("INSERT OR REPLACE INTO garbage (key, after) VALUES (?1, ?2)")
        forgetGarbage = try connection.prepare("DELETE FROM garbage WHERE key = ?1")
    }
}
