import Glibc
import StreamClient
import StreamStore

/// Live reads of a quiet stream, each on a thread of its own while other checks run: does anything cut them off?
final class WaitingReads {
    /// How a read ended.
    enum Ending: Sendable {
        case status(Int)
        case kept
        case lost
        case endless
        case interrupted
    }

    /// Seconds that the server may let a reader wait for a sign of life.
    static let limit = 65.0

    private let endings = Condition<[String: (ending: Ending, seconds: Double)]>([:])
    private var threads: [NamedThread] = []

    /// - Parameter target: a stream to which nobody appends.
    init(_ site: Site, _ target: String) {
        let (recipe, url, endings) = (site.caller.recipe, site.address.origin + target, endings)
        for (name, query) in [("long-poll", "?live=long-poll&offset=now"), ("sse", "?live=sse&offset=now")] {
            threads.append(
                NamedThread(name) {
                    let start = EventWatch.now
                    let ending = WaitingReads.wait(recipe, url + query)
                    let seconds = Double(EventWatch.now - start) / 1e9
                    endings.update {
                        $0[name] = (ending, seconds)
                        return (true, ())
                    }
                })
        }
    }

    /// Waits for the end of one of them.
    func ending(of name: String) throws(Obstacle) -> (ending: Ending, seconds: Double) {
        guard let found = endings.wait({ $0[name] }) else { throw .interrupted }
        if case .interrupted = found.ending { throw .interrupted }
        return found
    }

    /// Waits for the threads.
    func join() { for thread in threads { thread.join() } }

    private static func wait(_ recipe: Caller.Recipe, _ url: String) -> Ending {
        var parser = ServerEventParser()
        var isEventStream = false
        let watch = HTTPClient.Callbacks(
            onHead: {
                isEventStream = $0.fields["Content-Type"]?.hasPrefix("text/event-stream") == true
                return true
            },
            onBody: { part in
                _ = parser.take(part)
                // A sign of life: the connection outlasts the quiet.
                return parser.comments == 0
            })
        do throws(Obstacle) {
            let answer = try Caller(recipe).send("GET", url, [], timeLimit: limit, callbacks: watch)
            if answer.isCut || isEventStream && answer.status == 200 { return .kept }
            return .status(answer.status)
        } catch {
            switch error {
            case .failed(let failure): return failure.kind == .timeout ? .endless : .lost
            case .interrupted, .skipped: return .interrupted
            }
        }
    }
}

/// A long-poll may wait until the server ends it.
enum LongPollTime: SiteCheck {
    static let name = "long-poll-time"
    static let need = SiteNeed.reading

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        if site.isQueryLost { throw .skipped("the server does not get the query") }
        guard let reads = site.waiting else { throw .skipped("left out by --quick") }
        let (ending, seconds) = try reads.ending(of: "long-poll")
        let what: String
        switch ending {
        // Without its header another check complains.
        case .status(let status) where status == 204 || status == 200:
            site.measured.append(("long_poll_seconds", .number(Int64(seconds.rounded()))))
            return []
        case .status(429): throw .skipped(EventWatch.tooMany)
        case .status(let status): what = "is answered \(status)"
        case .lost: what = "is cut off"
        case .endless: throw .skipped("a long-poll had no end after \(Int(WaitingReads.limit)) s")
        case .kept, .interrupted: return []
        }
        return [
            Diagnosis(
                .error, seen: "a long-poll \(what) after \(tenths(seconds)) s",
                matters:
                    "readers that wait get an error in place of an empty answer, and ask again and again",
                mend:
                    "proxy_read_timeout 120s; in your proxy (nginx), or DS_LONG_POLL_TIMEOUT below its limit")
        ]
    }

    static func tenths(_ seconds: Double) -> String {
        let tenths = Int((seconds * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}

/// An event stream outlasts the quiet between two signs of life.
enum EventStreamTime: SiteCheck {
    static let name = "event-stream-time"
    static let need = SiteNeed.reading

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        if site.isQueryLost { throw .skipped("the server does not get the query") }
        guard let reads = site.waiting else { throw .skipped("left out by --quick") }
        let (ending, seconds) = try reads.ending(of: "sse")
        switch ending {
        case .kept, .interrupted: return []
        case .endless: throw .skipped("no sign of life came within \(Int(WaitingReads.limit)) s")
        case .status(429): throw .skipped(EventWatch.tooMany)
        case .lost, .status:
            return [
                Diagnosis(
                    .error, seen: "a quiet event stream is cut off after \(LongPollTime.tenths(seconds)) s",
                    matters:
                        "readers reconnect all the time, and some clients give event streams up for good",
                    mend:
                        "proxy_read_timeout 120s; in your proxy (nginx), or DS_SSE_KEEP_ALIVE below its limit"
                )
            ]
        }
    }
}
