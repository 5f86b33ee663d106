import StreamService
import Synchronization
import Telemetry
import Testing

@Suite struct RequestWatchTests {
    private final class Reports: Sendable {
        let all = Mutex<[SlowRequest]>([])
    }

    /// A trace that began at 1 ms and passed points at so many milliseconds.
    private func trace(_ points: [(RequestTrace.Point, Int64)]) -> RequestTrace {
        let trace = RequestTrace()
        trace.begin(at: 1_000_000)
        for (point, milliseconds) in points { trace.mark(point, at: milliseconds * 1_000_000) }
        return trace
    }

    /// What is told of a request as slow, with the limit at 100 ms.
    private func slow(_ trace: RequestTrace) -> SlowRequest? {
        let reports = Reports()
        var watch = RequestWatch()
        watch.slowerThan = 100_000_000
        watch.report = { request in reports.all.withLock { $0.append(request) } }
        watch.look(at: trace, status: 204, path: "/p", bytesIn: 1, bytesOut: 2)
        return reports.all.withLock { $0.first }
    }

    @Test func slowWritesTellTheirPhases() throws {
        let trace = trace([(.judged, 2), (.queued, 4), (.taken, 34), (.committed, 99), (.sent, 101)])
        trace.setID("r.1")
        let told = try #require(slow(trace))
        #expect(told.requestID == "r.1" && told.status == 204 && told.path == "/p")
        #expect(told.bytesIn == 1 && told.bytesOut == 2 && told.nanoseconds == 100_000_000)
        #expect(told.phases.map(\.name) == ["auth", "queue", "commit", "send"])
        #expect(told.phases.map { $0.nanoseconds / 1_000_000 } == [1, 30, 65, 2])
    }

    @Test func fastRequestsAreNotTold() {
        #expect(slow(trace([(.judged, 2), (.read, 99), (.sent, 100)])) == nil)
    }

    @Test func waitingIsNoFault() throws {
        let patient = trace([(.judged, 2), (.read, 3), (.sent, 5_003)])
        patient.waited = 4_999_000_000
        #expect(slow(patient) == nil)
        let late = trace([(.judged, 2), (.read, 103), (.sent, 5_103)])
        late.waited = 4_999_000_000
        let told = try #require(slow(late))
        #expect(told.nanoseconds == 103_000_000)
        #expect(told.phases.map(\.name) == ["auth", "read", "send", "wait"])
        #expect(told.phases.map { $0.nanoseconds / 1_000_000 } == [1, 101, 1, 4_999])
    }

    @Test func nothingIsTakenOverFromTheRequestBefore() {
        let trace = trace([(.judged, 2), (.read, 300), (.sent, 400)])
        trace.setID("one")
        trace.waited = 5
        trace.begin(at: 1_000_000)
        #expect(trace.id == nil && trace.waited == 0)
        #expect(RequestTrace.Phase.allCases.allSatisfy { trace.nanoseconds(of: $0) == nil })
    }

    @Test(arguments: ["", "a b", "a\nb", "é", String(repeating: "a", count: 65)])
    func whatIsNoIDIsNotTaken(text: String) {
        let trace = RequestTrace()
        trace.setID(text)
        #expect(trace.id == nil)
    }

    @Test func timingIsAHeaderWhereItIsAskedFor() {
        let trace = trace([(.judged, 2), (.queued, 4), (.taken, 34), (.committed, 99)])
        var watch = RequestWatch()
        #expect(watch.timed(ServiceResponse(status: 204), trace).head.isEmpty)
        watch.showsTiming = true
        #expect(
            String(decoding: watch.timed(ServiceResponse(status: 204), trace).head, as: UTF8.self)
                == "Server-Timing: auth;dur=1.000, queue;dur=30.000, commit;dur=65.000\r\n")
        #expect(watch.timed(ServiceResponse(status: 204), RequestTrace()).head.isEmpty)
    }

    @Test func workKnowsItsRequestAndNoOther() {
        let (one, two) = (RequestTrace(), RequestTrace())
        #expect(RequestTrace.current == nil)
        RequestTrace.working(on: one) { #expect(RequestTrace.current === one) }
        RequestTrace.working(on: two) { #expect(RequestTrace.current === two) }
        #expect(RequestTrace.current == nil)
    }
}
