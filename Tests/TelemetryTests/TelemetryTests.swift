import Glibc
import Telemetry
import Testing

@Suite struct TelemetryTests {
    private static func worker(_ folder: TemporaryFolder, _ number: Int = 1) -> Telemetry {
        Telemetry(path: folder.path + "/telemetry", role: .worker, number: number, version: "1.2.3")
    }

    private static func snapshot(_ folder: TemporaryFolder) throws -> TelemetrySnapshot {
        try #require(Telemetry.snapshot(path: folder.path + "/telemetry"))
    }

    /// Two generations of one process, and its successor, count into the same numbers.
    @Test func countsAddUpOverProcesses() throws {
        let folder = try TemporaryFolder()
        var first: Telemetry? = Self.worker(folder)
        let second = Self.worker(folder)
        first?.add(.appends)
        second.add(.appends, 2)
        first?.leave()
        first = nil
        let third = Self.worker(folder)
        third.add(.appends, UInt64(4))
        third.add(.appends, -1)
        #expect(try Self.snapshot(folder)[.appends] == 7)
        #expect(try Self.snapshot(folder)[.startsWorker] == 3)
        #expect(third.snapshot()[.appends] == 7)
    }

    @Test func requestsAreCountedByOperationAndStatus() throws {
        let folder = try TemporaryFolder()
        let telemetry = Self.worker(folder)
        telemetry.request(.append, status: 204, nanoseconds: 25_000)
        telemetry.request(.append, status: 200, nanoseconds: 25_001)
        telemetry.request(.append, status: 503, nanoseconds: 40_000_000_000)
        telemetry.request(.read, status: 999, nanoseconds: -5)
        let found = try Self.snapshot(folder)
        #expect(
            Array(found.requests(.append, 2).counts.prefix(3)) == [1, 1, 0], "a bound belongs to its bucket")
        #expect(found.requests(.append, 2).sum == 50_001)
        #expect(found.requests(.append, 5).counts.last == 1)
        #expect(found.requests(.append).count == 3)
        #expect(found.requests(.read, 5).count == 1)
        #expect(found.requests(.create).count == 0)
    }

    @Test func gaugesOfProcessesAreAddedUp() throws {
        let folder = try TemporaryFolder()
        let (first, second) = (Self.worker(folder), Self.worker(folder, 2))
        first.set(.commitQueueRequests, 3)
        second.adjust(.commitQueueRequests, 5)
        second.adjust(.commitQueueRequests, -1)
        first.set(.streams, 9)
        second.set(.streams, 8)
        #expect(try Self.snapshot(folder)[.commitQueueRequests] == 7)
        #expect(try Self.snapshot(folder)[.streams] == 8, "of the server: the last one counts")
        second.leave()
        #expect(try Self.snapshot(folder)[.commitQueueRequests] == 3)
    }

    @Test func processesAreListed() throws {
        let folder = try TemporaryFolder()
        let telemetry = Self.worker(folder, 2)
        let process = try #require(Self.snapshot(folder).processes().first)
        #expect((process.role, process.number, process.pid) == (.worker, 2, getpid()))
        #expect((process.version, process.state) == ("1.2.3", .running))
        #expect(try #require(process.residentBytes) > 1 << 20)
        #expect(try #require(process.openDescriptors) > 2)
        telemetry.setState(.draining)
        #expect(try Self.snapshot(folder).processes().first?.state == .draining)
        telemetry.leave()
        #expect(try Self.snapshot(folder).processes().isEmpty)
    }

    /// More processes than there are slots: the rest counts all the same.
    @Test func aFullTableKeepsNobodyFromCounting() throws {
        let folder = try TemporaryFolder()
        let all = (1...200).map { Self.worker(folder, $0) }
        for telemetry in all {
            telemetry.add(.appends)
            telemetry.set(.longPolls, 1)
            telemetry.leave()
        }
        #expect(try Self.snapshot(folder)[.appends] == 200)
        #expect(try Self.snapshot(folder).processes().isEmpty)
    }

    enum Damage: CaseIterable { case empty, cutShort, tooLong, foreign, otherLayout }

    /// What can't be used is made anew, and whoever has it mapped goes on with what was there.
    @Test(arguments: Damage.allCases) func aUselessFileIsMadeAnew(_ damage: Damage) throws {
        let folder = try TemporaryFolder()
        let old = Self.worker(folder)
        old.add(.appends, 5)
        var bytes = folder.read("telemetry")
        switch damage {
        case .empty: bytes = []
        case .cutShort: bytes.removeLast()
        case .tooLong: bytes.append(0)
        case .foreign: bytes[0] ^= 1
        case .otherLayout: bytes[8] ^= 1
        }
        unlink(folder.path + "/telemetry")
        folder.write("telemetry", bytes)
        let isUseless = Telemetry.snapshot(path: folder.path + "/telemetry") == nil
        #expect(isUseless)
        let new = Self.worker(folder)
        #expect(new.isShared)
        new.add(.appends)
        old.add(.appends)
        #expect(try Self.snapshot(folder)[.appends] == 1)
        #expect(old.snapshot()[.appends] == 6)
    }

    @Test func withoutAFileItCountsForItself() throws {
        let telemetry = Telemetry(path: "/nowhere/telemetry", role: .live, number: 0, version: "1")
        #expect(!telemetry.isShared)
        telemetry.add(.wakeUps)
        telemetry.observe(.wakeLatency, 5)
        telemetry.adjust(.longPolls, 2)
        let found = telemetry.snapshot()
        #expect((found[.wakeUps], found[.wakeLatency].count, found[.longPolls]) == (1, 1, 2))
        let isNowhere = Telemetry.snapshot(path: "/nowhere/telemetry") == nil
        #expect(isNowhere)
    }

    @Test func manyThreadsLoseNothing() throws {
        let folder = try TemporaryFolder()
        let telemetry = Self.worker(folder)
        let threads = (0..<4).map { _ in
            var thread = pthread_t()
            pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    let telemetry = Unmanaged<Telemetry>.fromOpaque(argument).takeUnretainedValue()
                    for _ in 0..<10_000 { telemetry.request(.append, status: 204, nanoseconds: 1) }
                    return nil
                }, Unmanaged.passUnretained(telemetry).toOpaque())
            return thread
        }
        for thread in threads { pthread_join(thread, nil) }
        #expect(try Self.snapshot(folder).requests(.append, 2).count == 40_000)
        #expect(try Self.snapshot(folder).requests(.append, 2).sum == 40_000)
    }

    @Test func quantilesLieInTheirBuckets() throws {
        let telemetry = Telemetry()
        #expect(telemetry.snapshot()[.commit].quantile(0.99) == nil)
        for _ in 0..<99 { telemetry.observe(.commit, 60_000) }
        telemetry.observe(.commit, 2_000_000)
        let found = telemetry.snapshot()[.commit]
        #expect(try #require(found.quantile(0.5)) > 50_000)
        #expect(try #require(found.quantile(0.5)) <= 100_000)
        #expect(try #require(found.quantile(1)) == 2_500_000)
        #expect(found.since(found).count == 0)
    }

    @Test func aTraceTellsSpans() {
        let trace = RequestTrace()
        trace.setID("one")
        trace.begin(at: 1_000_000)
        #expect(trace.id == nil)
        trace.mark(.judged, at: 1_500_000)
        trace.mark(.queued, at: 2_000_000)
        trace.mark(.sent, at: 4_000_000)
        #expect(trace.milliseconds(from: .received, to: .judged) == 0.5)
        #expect(trace.milliseconds(from: .queued, to: .committed) == nil)
        #expect(trace.answered == 2_000_000)
        #expect(trace.nanoseconds == 3_000_000)
    }
}
