import Glibc
import Telemetry
import Testing

@Suite struct HistoryTests {
    /// A writer and the clock that it goes by.
    private struct Past {
        let folder: TemporaryFolder
        let telemetry = Telemetry()
        var writer: HistoryWriter
        var now: Int64 = 1_800_000_000_000

        init() throws {
            folder = try TemporaryFolder()
            writer = HistoryWriter(path: folder.path + "/history")
        }

        mutating func pass(_ seconds: Int64) {
            now += seconds * 1_000
            writer.take(telemetry.snapshot(), now: now)
        }

        mutating func restart() { writer = HistoryWriter(path: folder.path + "/history") }

        func read(_ range: History.Range = .hour) -> History.View {
            History.read(path: folder.path + "/history", range: range, now: now)
        }
    }

    @Test func ratesAreThoseOfTheirStep() throws {
        var past = try Past()
        past.pass(0)
        past.telemetry.add(.appends, 50)
        past.telemetry.add(.appendedBytes, 1_000)
        past.telemetry.add(.cacheHits, 30)
        past.telemetry.add(.cacheMisses, 10)
        past.telemetry.request(.read, status: 200, nanoseconds: 1)
        past.telemetry.request(.append, status: 503, nanoseconds: 1)
        past.telemetry.request(.append, status: 204, nanoseconds: 2_000_000)
        past.telemetry.set(.diskTotal, 100)
        past.telemetry.set(.diskFree, 40)
        past.telemetry.adjust(.longPolls, 2)
        past.telemetry.adjust(.eventStreams, 3)
        past.pass(10)
        let view = past.read()
        #expect(view.values.allSatisfy { $0.count == 360 })
        #expect(view.start == past.now - 3_600_000)
        #expect(view[.appends].last == 5)
        #expect(view[.appendBytes].last == 100)
        #expect(view[.reads].last == 3.1)
        #expect(view[.errors].last == 0.1)
        #expect(view[.liveReaders].last == 5)
        #expect(view[.cacheHitRate].last == 0.75)
        #expect(view[.diskUsed].last == 60)
        let p99 = try #require(view[.appendP99].last ?? nil)
        #expect(p99 > 1 && p99 <= 2.5)
        #expect(view[.appends].dropLast().allSatisfy { $0 == nil })
        past.pass(10)
        #expect(past.read()[.appends].suffix(2) == [5, 0])
        #expect(past.read()[.cacheHitRate].last == .some(nil), "nobody asked")
        #expect(History.latest(path: past.folder.path + "/history", now: past.now)?[0] == 0)
        #expect(History.latest(path: past.folder.path + "/history", now: past.now + 60_000) == nil)
    }

    @Test func looksBetweenStepsChangeNothing() throws {
        var past = try Past()
        past.pass(0)
        for _ in 0..<9 {
            past.telemetry.add(.appends)
            past.pass(1)
        }
        #expect(past.read()[.appends].allSatisfy { $0 == nil })
        past.telemetry.add(.appends)
        past.pass(1)
        #expect(past.read()[.appends].last == 1)
    }

    @Test func theRingsHoldAnHourAndADay() throws {
        var past = try Past()
        past.pass(0)
        // A day and ten minutes.
        for _ in 0..<(8_640 + 60) {
            past.telemetry.add(.appends, 10)
            past.pass(10)
        }
        #expect(past.read()[.appends].allSatisfy { $0 == 1 })
        #expect(past.read(.day)[.appends].dropLast().allSatisfy { $0 == 1 })
        #expect(past.read(.day).values[0].count == 288)
        #expect(past.folder.read("history").count < 64 << 10)
        past.now += 1_800_000
        #expect(past.read()[.appends].prefix(180).allSatisfy { $0 == 1 })
        #expect(
            past.read()[.appends].suffix(179).allSatisfy { $0 == nil },
            "nothing old in the place of what is missing")
    }

    @Test func fiveMinutesAreTheMeanOfTheirSteps() throws {
        var past = try Past()
        past.now -= past.now % 300_000
        past.pass(0)
        for step in 0..<30 {
            past.telemetry.add(.appends, step < 15 ? 10 : 30)
            past.telemetry.request(.append, status: 204, nanoseconds: step == 3 ? 4_000_000 : 10_000)
            past.pass(10)
        }
        let view = past.read(.day)
        #expect(view[.appends].dropLast().last == 2)
        #expect(try #require(view[.appendP99].dropLast().last ?? nil) > 2.5, "the worst of them")
    }

    @Test func itSurvivesARestart() throws {
        var past = try Past()
        past.pass(0)
        past.telemetry.add(.appends, 10)
        past.pass(10)
        past.restart()
        past.pass(0)
        past.telemetry.add(.appends, 20)
        past.pass(10)
        #expect(past.read()[.appends].suffix(2) == [1, 2])
        past.restart()
        past.pass(40)
        past.telemetry.add(.appends, 30)
        past.pass(10)
        #expect(past.read()[.appends].suffix(7) == [1, 2, nil, nil, nil, nil, 3])
    }

    @Test func aClockThatIsSetGivesNoFigures() throws {
        var past = try Past()
        past.pass(0)
        past.telemetry.add(.appends, 10)
        past.pass(7_200)
        #expect(past.read()[.appends].allSatisfy { $0 == nil })
        past.telemetry.add(.appends, 10)
        past.pass(10)
        past.pass(-3_600)
        past.pass(10)
        #expect(past.read()[.appends].last == 0)
    }

    /// A step that a crash has torn is missing; the others stay.
    @Test func aTornStepIsLeftOut() throws {
        var past = try Past()
        past.pass(0)
        for _ in 0..<3 {
            past.telemetry.add(.appends, 10)
            past.pass(10)
        }
        var bytes = past.folder.read("history")
        let torn = 64 + Int((past.now / 10_000 - 2) % 360) * 80 + 8
        bytes[torn] ^= 1
        past.folder.write("history", bytes)
        #expect(past.read()[.appends].suffix(3) == [1, nil, 1])
    }

    enum Damage: CaseIterable { case empty, cutShort, foreign, otherSeries }

    @Test(arguments: Damage.allCases) func aDamagedFileIsBegunAnew(_ damage: Damage) throws {
        var past = try Past()
        past.pass(0)
        past.telemetry.add(.appends, 10)
        past.pass(10)
        var bytes = past.folder.read("history")
        switch damage {
        case .empty: bytes = []
        case .cutShort: bytes.removeLast(80)
        case .foreign: bytes[0] ^= 1
        case .otherSeries: bytes[8] ^= 1
        }
        past.folder.write("history", bytes)
        #expect(past.read()[.appends].allSatisfy { $0 == nil })
        past.restart()
        past.pass(0)
        past.telemetry.add(.appends, 20)
        past.pass(10)
        #expect(past.read()[.appends].suffix(2) == [nil, 2])
    }

    @Test func withoutAFolderNothingIsKept() {
        let writer = HistoryWriter(path: "/nowhere/history")
        let telemetry = Telemetry()
        writer.take(telemetry.snapshot(), now: 10_000)
        writer.take(telemetry.snapshot(), now: 20_000)
        #expect(
            History.read(path: "/nowhere/history", range: .day, now: 20_000)[.appends].allSatisfy {
                $0 == nil
            })
    }

    @Test func theAnswerIsJSON() throws {
        var past = try Past()
        past.pass(0)
        past.telemetry.add(.appends, 5)
        past.pass(10)
        let text = String(decoding: past.read().json(), as: UTF8.self)
        #expect(
            text.hasPrefix(#"{"range":"hour","step_seconds":10,"start":\#(past.read().start),"series":{"#))
        #expect(text.contains(#"null,0.5],"append_bytes_per_second":[null,"#))
        #expect(text.hasSuffix("null]}}"))
    }

    @Test func theTallyIsCountedOnce() throws {
        let folder = try TemporaryFolder()
        let telemetry = Telemetry()
        let tally = CacheTally(path: folder.path + "/tally")
        folder.write("tally", Array("H\nH\nM\nE\nR\nS\nU\nH\n".utf8))
        tally.collect(into: telemetry)
        tally.collect(into: telemetry)
        folder.write("tally", Array(String(repeating: "H\n", count: 100_000).utf8))
        tally.collect(into: telemetry)
        let found = telemetry.snapshot()
        #expect(found[.cacheHits] == 100_003)
        #expect(
            [.cacheMisses, .cacheExpired, .cacheRevalidated, .cacheStale, .cacheUpdating].map { found[$0] }
                == [1, 1, 1, 1, 1])
        #expect(folder.read("tally").isEmpty)
    }

    /// What is in its place is put out of the way, never followed: nginx writes there as root.
    @Test func aLinkIsNotFollowed() throws {
        let folder = try TemporaryFolder()
        folder.write("history", Array("H\n".utf8))
        symlink(folder.path + "/history", folder.path + "/tally")
        let telemetry = Telemetry()
        CacheTally(path: folder.path + "/tally").collect(into: telemetry)
        #expect(telemetry.snapshot()[.cacheHits] == 0)
        #expect(folder.read("history") == Array("H\n".utf8))
        var status = stat()
        #expect(lstat(folder.path + "/tally", &status) == 0 && status.st_mode & S_IFMT == S_IFREG)
        #expect(status.st_mode & 0o777 == 0o660)
    }
}
