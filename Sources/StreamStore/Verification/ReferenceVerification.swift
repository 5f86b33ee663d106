/// Looks at rows that refer to other rows, in a hot log.
struct ReferenceVerification {
    private let log: SQLiteConnection
    private let files: StoreFiles

    /// Everything of a stream that is not there, and that nothing will remove.
    private static let ownerless = """
        WITH owner (stream) AS (
            SELECT id FROM stream UNION ALL SELECT stream FROM purge WHERE below = 9223372036854775807)
        SELECT stream, group_concat(DISTINCT kind) FROM (
            SELECT DISTINCT stream, 'segments' AS kind FROM segment
            UNION ALL SELECT DISTINCT stream, 'records' FROM record_index WHERE stream > 0
            UNION ALL SELECT DISTINCT stream, 'records' FROM record
                WHERE id > (SELECT indexed_through FROM log_state) AND stream > 0
            UNION ALL SELECT DISTINCT stream, 'producers' FROM producer)
        WHERE stream NOT IN owner GROUP BY stream ORDER BY stream
        """

    private static let wrongForkCounts = """
        SELECT source.id, source.name, source.forks, count(fork.id)
        FROM stream AS source LEFT JOIN stream AS fork ON fork.source = source.id
        GROUP BY source.id HAVING source.forks != count(fork.id) ORDER BY source.id
        """

    private static let lostSources = """
        SELECT name, source FROM stream WHERE source IS NOT NULL AND source NOT IN (SELECT id FROM stream) ORDER BY id
        """

    private static let purgedAlive = """
        SELECT name, id FROM stream WHERE id IN (SELECT stream FROM purge WHERE below = 9223372036854775807)
        """

    private static let garbageInUse = """
        SELECT key, stream FROM (
            SELECT printf('%02x/%d-%d-%d', stream & 255, stream, start, end) AS key, stream FROM segment)
        WHERE key IN (SELECT key FROM garbage)
        """

    init(_ log: SQLiteConnection, _ files: StoreFiles) {
        self.log = log
        self.files = files
    }

    func run(_ observer: WorkObserver) throws(StoreError) {
        try each(ReferenceVerification.ownerless, observer) { row in
            let stream = row.int(0)
            return Finding(
                subject: "stream number \(stream)",
                what: "is not there, but has \(row.text(1)), and nothing removes them",
                mend: ReferenceVerification.statement(
                    "INSERT INTO purge (through, stream, below) VALUES (0, \(stream), \(Int64.max))", files))
        }
        try each(ReferenceVerification.wrongForkCounts, observer) { row in
            Finding(
                subject: "stream \(row.text(1))", what: "counts \(row.int(2)) forks, and has \(row.int(3))",
                mend: ReferenceVerification.statement(
                    "UPDATE stream SET forks = \(row.int(3)) WHERE id = \(row.int(0))", files))
        }
        try each(ReferenceVerification.lostSources, observer) { row in
            Finding(
                subject: "stream \(row.text(0))",
                what: "is a fork of stream number \(row.int(1)), which is not there",
                mend: Finding.restore)
        }
        try IndexVerification(log).run(observer)
        try each(ReferenceVerification.purgedAlive, observer) { row in
            Finding(
                subject: "stream \(row.text(0))", what: "is there, and is to be purged",
                mend: ReferenceVerification.statement(
                    "DELETE FROM purge WHERE stream = \(row.int(1)) AND below = \(Int64.max)", files))
        }
        try each(ReferenceVerification.garbageInUse, observer) { row in
            Finding(
                subject: "segment \(row.text(0))", what: "is in use, and its file is to be removed",
                mend: ReferenceVerification.statement(
                    "DELETE FROM garbage WHERE key = '\(row.text(0))'", files))
        }
    }

    private func each(
        _ query: String, _ observer: WorkObserver, _ finding: (SQLiteStatement) -> Finding
    ) throws(StoreError) {
        let statement = try log.prepare(query)
        while try statement.step() { observer.found(finding(statement)) }
    }

    /// The command that changes a row, on a store that is not in use.
    static func statement(_ sql: String, _ files: StoreFiles) -> String {
        "stop the server; sqlite3 \(Finding.quoted(files.hotLog)) \"\(sql)\""
    }
}
