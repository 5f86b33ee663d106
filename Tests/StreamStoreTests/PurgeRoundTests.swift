import CSQLite
import Glibc
import StreamProtocol
import StreamStore
import TestStore
import Testing

/// Records of many streams that are removed together.
@Suite struct PurgeRoundTests {
    private static let streams = 40

    /// A store in which 40 streams were written in turn, 256 bytes at a time, and entered into the index.
    private static func written(_ rounds: Int) throws -> TestStore {
        let store = try TestStore()
        for number in 0..<streams { try store.create(.make("s\(number)")) }
        try store.committer.perform { (session) throws(StoreError) in
            for round in 0..<rounds {
                for number in 0..<streams {
                    _ = try session.append(.make("s\(number)", body(number, round)))
                }
            }
        }
        let entered = try store.committer.perform { (session) throws(StoreError) in
            try session.extendIndex(limit: rounds * streams)
        }
        #expect(entered == rounds * streams)
        return store
    }

    private static func body(_ number: Int, _ round: Int) -> String {
        let text = "\(number)/\(round);"
        return text + String(repeating: "x", count: 256 - text.utf8.count)
    }

    private static func step(
        _ store: TestStore, _ rows: Int, _ rotated: RotatedRecords = .go
    ) throws -> PurgeStep {
        try store.committer.perform { (session) throws(StoreError) in
            try session.purge(StepBudget(rows: rows), now: TestClock.start, rotated: rotated)
        }
    }

    private static func execute(_ store: TestStore, _ sql: String) {
        var handle: OpaquePointer?
        #expect(sqlite3_open(store.files.hotLog, &handle) == SQLITE_OK)
        #expect(sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK)
        sqlite3_close(handle)
    }

    private static func number(_ store: TestStore, _ question: String) throws -> Int {
        var handle: OpaquePointer?
        #expect(sqlite3_open(store.files.hotLog, &handle) == SQLITE_OK)
        defer { sqlite3_close(handle) }
        var statement: OpaquePointer?
        #expect(sqlite3_prepare_v2(handle, question, -1, &statement, nil) == SQLITE_OK)
        defer { sqlite3_finalize(statement) }
        #expect(sqlite3_step(statement) == SQLITE_ROW)
        return Int(sqlite3_column_int64(statement, 0))
    }

    /// What `verify` finds.
    private static func findings(_ store: TestStore) throws -> [String] {
        var found: [String] = []
        _ = try Verification(of: store.files).run(
            WorkObserver(found: { found.append("\($0)") }, progress: { _ in }))
        return found
    }

    /// Frames in the write-ahead log, which nobody checkpoints here: the number in the header of its index
    /// (https://sqlite.org/walformat.html#the_wal_index_header, offset 16).
    private static func frames(_ store: TestStore) throws -> Int {
        let file = try #require(fopen(store.files.hotLog + "-shm", "r"))
        defer { fclose(file) }
        var header = [UInt32](repeating: 0, count: 5)
        #expect(fread(&header, 4, header.count, file) == header.count)
        return Int(header[4])
    }

    @Test func aPageIsWrittenOnceForAllItsStreams() throws {
        let store = try Self.written(50)
        try store.committer.perform { (session) throws(StoreError) in
            for number in 0..<Self.streams {
                _ = try session.delete(.named("s\(number)"), now: TestClock.start)
            }
        }
        let before = try Self.frames(store)
        var ended: Int?
        while case let step = try Self.step(store, 100), step.goesOn { ended = ended ?? step.endedWith }
        #expect(ended == 50 * Self.streams)
        // Some 150 pages of records, and each stream's pages of the index; a page for each record would be 2,000.
        #expect(try Self.frames(store) - before < 600)
        #expect(try Self.number(store, "SELECT count(*) FROM record WHERE units > 0") == 0)
        #expect(try Self.number(store, "SELECT count(*) FROM record_index WHERE stream > 0") == 0)
        #expect(try Self.number(store, "SELECT count(*) FROM purge") == 0)
        #expect(try Self.step(store, 100).goesOn == false)
    }

    /// Between the steps rows of the index lead to nothing; nobody minds, and a rollback loses nothing.
    @Test(arguments: [3, 61, 500]) func whatStaysIsWholeAtEachStep(rows: Int) throws {
        let store = try Self.written(60)
        let reader = try store.reader()
        func check() throws {
            #expect(try Self.findings(store) == [])
            for number in [1, 3, Self.streams - 1] {
                let expected = (0..<60).map { Self.body(number, $0) }.joined()
                #expect(text(try reader.everything("s\(number)")) == expected)
            }
        }
        for number in stride(from: 0, to: Self.streams, by: 2) { try store.delete("s\(number)") }
        let rowsBefore = try Self.number(store, "SELECT count(*) FROM record_index")
        var steps = 0
        while try Self.step(store, rows).goesOn {
            if steps % 50 == 0 { try check() }
            if steps == 2, rows < 100 {
                #expect(try Self.number(store, "SELECT count(*) FROM record_index") == rowsBefore)
            }
            if steps % 3 == 1 {
                #expect(throws: StoreError.self) {
                    try store.committer.perform { (session) throws(StoreError) -> Void in
                        _ = try session.purge(StepBudget(rows: rows), now: TestClock.start)
                        throw StoreError(kind: .failed, "as a test wants it")
                    }
                }
            }
            steps += 1
            try #require(steps < 2_000)
        }
        try check()
        #expect(
            try Self.number(store, "SELECT count(*) FROM record WHERE units > 0") == 60 * Self.streams / 2)
        #expect(try Self.number(store, "SELECT count(*) FROM purge") == 0)
        let ofDeleted =
            "SELECT count(*) FROM record_index r WHERE stream > 0 AND NOT EXISTS"
            + " (SELECT 1 FROM stream WHERE id = r.stream)"
        #expect(try Self.number(store, ofDeleted) == 0)
    }

    /// A position inside a run, the first of one, and behind the last.
    @Test(arguments: [1, 30, 55, 56, 57, 60]) func recordsBelowAPositionGo(count: Int) throws {
        let store = try Self.written(60)
        let below = 256 * count
        Self.execute(store, "INSERT INTO purge SELECT 0, id, \(below) FROM stream WHERE name LIKE '%/s7'")
        while try Self.step(store, 13).goesOn {}
        let own = "stream = (SELECT id FROM stream WHERE name LIKE '%/s7')"
        #expect(try Self.number(store, "SELECT count(*) FROM record WHERE \(own)") == 60 - count)
        #expect(try Self.number(store, "SELECT count(*) FROM record") == 60 * Self.streams - count)
        #expect(
            try Self.number(store, "SELECT coalesce(min(position), \(below)) FROM record_index WHERE \(own)")
                == below)
        #expect(try Self.number(store, "SELECT count(*) FROM purge") == 0)
        let piece = try #require(try store.reader().piece("s7", from: Int64(below), limit: 1 << 20))
        #expect(text(piece.content) == (count..<60).map { Self.body(7, $0) }.joined())
        // The rest is there under its old positions, and goes with the stream.
        try store.delete("s7")
        while try Self.step(store, 13).goesOn {}
        #expect(
            try Self.number(store, "SELECT count(*) FROM record WHERE units > 0") == 60 * (Self.streams - 1))
    }

    /// What is queued while a round is on its way is not forgotten with it, though it may use the same row.
    @Test func moreIsQueuedMeanwhile() throws {
        let store = try Self.written(60)
        let s0 = "(SELECT id FROM stream WHERE name LIKE '%/s0')"
        Self.execute(store, "INSERT INTO purge SELECT 0, \(s0), 256 * 20")
        #expect(try Self.step(store, 10).goesOn)
        Self.execute(store, "UPDATE purge SET below = 256 * 40; INSERT INTO purge SELECT 1, \(s0), 256 * 30")
        while try Self.step(store, 10).goesOn {}
        #expect(try Self.number(store, "SELECT count(*) FROM record WHERE stream = \(s0)") == 20)
        #expect(try Self.number(store, "SELECT count(*) FROM purge") == 0)
        // Two rows of one stream count as one.
        Self.execute(
            store, "INSERT INTO purge SELECT 0, \(s0), 256 * 50 UNION ALL SELECT 2, \(s0), 256 * 45")
        var ended: [Int] = []
        while case let step = try Self.step(store, 1_000), step.goesOn {
            ended += step.endedWith.map { [$0] } ?? []
        }
        #expect(ended == [10])
        #expect(try Self.number(store, "SELECT count(*) FROM purge") == 0)
    }

    @Test func whatSegmentsHaveTakenOverWaitsForThoseThatRotate() throws {
        let store = try Self.written(10)
        Self.execute(store, "INSERT INTO purge SELECT 0, id, 256 FROM stream WHERE name LIKE '%/s1'")
        #expect(try Self.step(store, 1_000, .stay).goesOn == false)
        Self.execute(store, "INSERT INTO rotation SELECT id FROM stream WHERE name LIKE '%/s2'")
        let held = try Self.step(store, 1_000, .goWhenNoneRotates)
        #expect(!held.goesOn && held.isHeldBack)
        // A deleted stream waits for nobody.
        try store.delete("s3")
        #expect(try Self.step(store, 1_000, .goWhenNoneRotates).endedWith == 10)
        #expect(try Self.step(store, 1_000, .stay).goesOn == false)
        Self.execute(store, "DELETE FROM rotation")
        #expect(try Self.step(store, 1_000, .goWhenNoneRotates).endedWith == 1)
        #expect(try Self.step(store, 1_000).goesOn == false)
    }

    /// Neither a stream that can't rotate nor others that are deleted again and again hold them up for ever.
    @Test func whatSegmentsHaveTakenOverGoesInTheEnd() throws {
        let store = try Self.written(10)
        let folder = store.files.folder + "/segments"
        #expect(rmdir(folder) == 0 || errno == ENOENT)
        // No file can be made below it.
        try #require(fopen(folder, "w").map(fclose) == 0)
        try store.append(.make("s2", closes: true))
        Self.execute(store, "INSERT INTO purge SELECT 0, id, 256 * 4 FROM stream WHERE name LIKE '%/s1'")
        let reports = Mailbox<String>()
        let chores = try Chores(
            store.files, committer: store.committer, sweepInterval: 30, clock: { TestClock.start },
            report: { reports.deliver("\($0)") })
        #expect(reports.collect(1) != nil)
        let left = "SELECT count(*) FROM record WHERE stream = (SELECT id FROM stream WHERE name LIKE '%/s1')"
        var rounds = 0
        while try Self.number(store, left) == 10, rounds < 10_000 {
            try store.create(.make("short", body: "x"))
            try store.delete("short")
            usleep(2_000)
            rounds += 1
        }
        #expect(try Self.number(store, left) == 6)
        #expect(try Self.number(store, "SELECT count(*) FROM rotation") == 1)
        chores.stop()
    }
}
