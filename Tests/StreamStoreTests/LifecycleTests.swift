import CSQLite
import StreamProtocol
import StreamStore
import TestStore
import Testing

/// What survives, and what must not.
@Suite struct LifecycleTests {
    private static func reopened(_ folder: TemporaryFolder, _ work: (TestStore) throws -> Void) throws {
        let store = try TestStore(folder)
        try work(store)
        store.committer.stop()
    }

    @Test func stateSurvivesReopening() throws {
        let folder = try TemporaryFolder()
        let tuple = ProducerTuple(id: "p", epoch: 3, sequence: 0)
        let lifetime = Lifetime.until(milliseconds: TestClock.start + 5_000, text: "2026-03-01T12:00:12Z")
        try Self.reopened(folder) { (store: TestStore) throws in
            try store.create(.make("s", type: "Text/Plain; x=y", lifetime: lifetime))
            try store.append(.make("s", "abc", producer: tuple, sequence: "m"))
            try store.create(.make("c", body: "z"))
            try store.append(.make("c", "end", closes: true, producer: tuple))
        }
        try Self.reopened(folder) { (store: TestStore) throws in
            let piece = try #require(try store.reader().piece("s"))
            #expect(text(piece.content) == "abc")
            #expect(piece.state.contentType == "Text/Plain; x=y")
            #expect(piece.state.lifetime == lifetime)
            #expect(!piece.state.closed)
            #expect(try store.append(.make("s", "n", sequence: "m")).verdict == .conflictSequence)
            #expect(
                try store.append(.make("s", "n", producer: tuple)).verdict
                    == .producer(.duplicate(highest: 0)))
            let next = ProducerTuple(id: "p", epoch: 3, sequence: 1)
            #expect(try store.append(.make("s", "def", producer: next, sequence: "n")).acceptedTail == 6)
            #expect(try store.append(.make("c", "end", producer: tuple)).verdict == .closedByThis)
            #expect(try store.append(.make("c", "x", producer: next)).verdict == .conflictClosed)
            #expect(try store.reader().piece("c")?.reachesClosedTail == true)
        }
        try Self.reopened(folder) { (store: TestStore) throws in
            #expect(text(try store.reader().everything("s")) == "abcdef")
            #expect(try store.append(.make("s", "x", sequence: "n")).verdict == .conflictSequence)
        }
    }

    @Test func reCreationBeginsClean() throws {
        let store = try TestStore()
        let tuple = ProducerTuple(id: "p", epoch: 3, sequence: 0)
        let old = try #require(try store.create(.make("s")).created)
        try store.append(.make("s", "abc", closes: true, producer: tuple, sequence: "m"))
        try store.delete("s")
        #expect(try store.append(.make("s", "x")).isAbsent)
        #expect(try store.reader().piece("s") == nil)
        let new = try #require(try store.create(.make("s", type: "text/html")).created)
        #expect(new.incarnation > old.incarnation)
        let outcome = try store.append(.make("s", "x", type: "text/html", producer: tuple, sequence: "a"))
        #expect(outcome.acceptedTail == 1)
        #expect(text(try store.reader().everything("s")) == "x")
    }

    @Test func numbersAreNeverGivenAgain() throws {
        let folder = try TemporaryFolder()
        var last: Int64 = 0
        for _ in 0..<4 {
            try Self.reopened(folder) { (store: TestStore) throws in
                let state = try #require(try store.create(.make("s")).created)
                #expect(state.id > last)
                #expect(state.incarnation > 0)
                last = state.id
                try store.delete("s")
                while try store.committer.perform({ (session) throws(StoreError) in
                    try session.purge(StepBudget(rows: 9), now: TestClock.start).goesOn
                }) {}
            }
        }
    }

    @Test func creationComparesWhatIsThere() throws {
        let store = try TestStore()
        let instant = Lifetime.until(milliseconds: TestClock.start + 1_000_000, text: "a")
        let rewritten = Lifetime.until(milliseconds: TestClock.start + 1_000_000, text: "b")
        try store.create(.make("s", type: "text/plain;a=b", body: "x", lifetime: instant))
        guard
            case .matches(let state, let tail) = try store.create(
                .make("s", type: "TEXT/plain", lifetime: rewritten))
        else { throw Unexpected("no match") }
        #expect(tail == 1)
        #expect(state.contentType == "text/plain;a=b")
        #expect(state.lifetime == instant)
        for other: CreateRequest in [
            .make("s"), .make("s", type: "text/html", lifetime: instant),
            .make("s", lifetime: instant, closed: true),
            .make("s", lifetime: .window(seconds: 1_000)),
            .make("s", lifetime: .until(milliseconds: TestClock.start + 999_999, text: "a")),
        ] {
            guard case .conflict = try store.create(other) else { throw Unexpected(other) }
        }
        #expect(text(try store.reader().everything("s")) == "x")
    }

    @Test func invalidJSONCreatesNothing() throws {
        let store = try TestStore()
        let outcome = try store.create(.make("j", type: "application/json", body: "{"))
        guard case .invalidJSON = outcome else { throw Unexpected(outcome) }
        #expect(try store.reader().piece("j") == nil)
        #expect(try store.create(.make("j", type: "application/json", body: "[ ]")).created != nil)
        #expect(try store.reader().piece("j")?.tail == 0)
    }

    /// Runs SQL on a store that nobody has open.
    private static func execute(_ sql: String, in folder: TemporaryFolder) {
        var handle: OpaquePointer?
        #expect(sqlite3_open(TestStore.files(in: folder.path).hotLog, &handle) == SQLITE_OK)
        #expect(sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK)
        sqlite3_close(handle)
    }

    @Test func aNewerSchemaIsRefused() throws {
        let folder = try TemporaryFolder()
        try Self.reopened(folder) { (store: TestStore) throws in try store.create(.make("s", body: "x")) }
        Self.execute("PRAGMA user_version = 1000", in: folder)
        let error = #expect(throws: StoreError.self) { try TestStore(folder) }
        guard case .newerSchema = error?.kind else { throw Unexpected("\(String(describing: error))") }
        #expect(error?.description.contains("1000") == true)
        // Nothing was harmed.
        Self.execute("PRAGMA user_version = 4", in: folder)
        try Self.reopened(folder) { (store: TestStore) throws in
            #expect(text(try store.reader().everything("s")) == "x")
        }
    }

    @Test func anOlderSchemaIsBroughtUpToDate() throws {
        let folder = try TemporaryFolder()
        try Self.reopened(folder) { (store: TestStore) throws in try store.create(.make("s", body: "x")) }
        // As version 1 was.
        Self.execute(
            """
            DROP TRIGGER stream_added; DROP TRIGGER stream_removed; DROP TRIGGER segment_added;
            DROP TRIGGER segment_removed; DROP TRIGGER hot_removed;
            DROP TABLE project; DROP TABLE project_secret; DROP TABLE project_usage; DROP TABLE registry;
            ALTER TABLE stream DROP COLUMN public; ALTER TABLE stream DROP COLUMN reader_generation;
            ALTER TABLE record DROP COLUMN written_at; ALTER TABLE record_index DROP COLUMN further;
            DROP INDEX stream_by_retention; DROP INDEX stream_by_source;
            ALTER TABLE stream DROP COLUMN earliest; ALTER TABLE stream DROP COLUMN retention_age;
            ALTER TABLE stream DROP COLUMN retention_bytes; ALTER TABLE stream DROP COLUMN retention_messages;
            ALTER TABLE stream DROP COLUMN retention_due; ALTER TABLE log_state DROP COLUMN restored_at;
            ALTER TABLE log_state DROP COLUMN store;
            PRAGMA user_version = 1
            """, in: folder)
        try Self.reopened(folder) { (store: TestStore) throws in
            #expect(text(try store.reader().everything("s")) == "x")
            try store.create(.make("t", body: "y"))
            #expect(text(try store.reader().everything("t")) == "y")
        }
    }

    @Test func sweepRemovesWhatHasExpired() throws {
        let store = try TestStore()
        let now = TestClock.start
        for index in 0..<7 {
            try store.create(.make("ttl\(index)", body: "x", lifetime: .window(seconds: Int64(index + 1))))
        }
        try store.create(.make("instant", lifetime: .until(milliseconds: now + 2_500, text: "t")))
        try store.create(.make("for-ever"))
        func sweep(_ now: Int64, _ limit: Int) throws -> Int {
            try store.committer.perform { (session) throws(StoreError) in
                try session.sweep(now: now, StepBudget(rows: limit))
            }
        }
        #expect(try sweep(now + 999, 10) == 0)
        #expect(try sweep(now + 1_000, 10) == 1)
        #expect(try sweep(now + 4_000, 2) == 2)
        #expect(try sweep(now + 4_000, 10) == 2)
        #expect(try sweep(now + 4_000, 10) == 0)
        let reader = try store.reader()
        // Judged at the beginning of time, so that only what was removed is missing.
        for index in 0..<7 { #expect((try reader.piece("ttl\(index)", now: now) == nil) == (index < 4)) }
        #expect(try reader.piece("instant", now: now) == nil)
        #expect(try reader.piece("for-ever", now: now) != nil)
        #expect(try sweep(.max, 10) == 3)
        #expect(try reader.piece("for-ever", now: .max) != nil)
    }

    @Test func expiredStreamsAreAbsentBeforeTheSweep() throws {
        let store = try TestStore()
        let now = TestClock.start
        try store.create(.make("s", body: "x", lifetime: .window(seconds: 2)))
        let reader = try store.reader()
        #expect(try reader.piece("s", now: now + 1_999) != nil)
        #expect(try reader.piece("s", now: now + 2_000) == nil)
        #expect(try store.append(.make("s", "y", now: now + 2_000)).isAbsent)
        let created = try store.create(.make("s", type: "text/html", now: now + 2_000)).created
        #expect(created != nil)
        #expect(try reader.piece("s", now: now + 2_000)?.tail == 0)
    }
}
