import StreamProtocol
import StreamStore
import TestStore
import Testing

/// PROTOCOL sections 8.3 and 11.6: what expires together with its forks goes whole, in whatever order.
@Suite struct ForkSweepTests {
    private static func fork(_ path: String, of source: String, _ seconds: Int64) -> CreateRequest {
        CreateRequest(
            name: .named(path), contentType: nil, lifetime: .window(seconds: seconds), closed: false,
            body: .none,
            now: TestClock.start, fork: ForkRequest(source: .named(source), offset: nil, subOffset: 0))
    }

    /// The windows of a chain of forks, source first; how many streams one step of the sweep takes.
    @Test(
        arguments: [[100, 1], [1, 100], [100, 10, 1], [1, 10, 100], [10, 100, 1], [5, 5, 5]] as [[Int64]],
        [1, 2, 10])
    func chains(windows: [Int64], limit: Int) throws {
        let store = try TestStore()
        for (index, seconds) in windows.enumerated() {
            let request: CreateRequest =
                index == 0
                ? .make("s0", body: "x", lifetime: .window(seconds: seconds))
                : Self.fork("s\(index)", of: "s\(index - 1)", seconds)
            #expect(try store.create(request).created != nil)
        }
        let later = TestClock.start + 1_000_000
        var swept = limit
        while swept == limit {
            swept = try store.committer.perform { (session) throws(StoreError) in
                try session.sweep(now: later, StepBudget(rows: limit))
            }
        }
        for index in windows.indices {
            guard case .absent = try store.reader().find(.named("s\(index)"), now: later) else {
                Issue.record("s\(index) is still held")
                continue
            }
            #expect(try store.create(.make("s\(index)", type: "text/html", now: later)).created != nil)
        }
    }
}
