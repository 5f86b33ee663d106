import Glibc
import StreamClient
import StreamStore
import Synchronization

/// Opens an event stream, has another thread append a moment later, and notes when that arrives.
enum EventWatch {
    struct Outcome {
        /// Seconds from the append's answer to what was appended; nil: it did not come in time.
        var delay: Double?
        /// Whether the read had time enough behind the append's answer.
        var hadTime = false
        /// The head of the answer; nil when not even that came.
        var head: HTTPHead?
    }

    /// Why a live read is not looked at.
    static let tooMany = "there are as many live readers as the server allows"
    /// Seconds that an event may take before it counts as held back.
    static let patience = 2.5
    /// Seconds after which the append is made: the reader waits by then.
    private static let pause = 0.3
    /// Seconds for the append itself, on a slow machine or behind a limit of rates.
    private static let reserve = 12.0

    /// - Parameter query: what makes the read a live one.
    static func run(_ site: Site, _ target: String, query: String) throws(Obstacle) -> Outcome {
        let (recipe, url) = (site.caller.recipe, site.address.origin + target)
        let answered = Atomic<UInt64>(0)
        var text: [UInt8] = []
        var outcome = Outcome()
        var arrived: UInt64 = 0
        let watch = HTTPClient.Callbacks(
            onHead: {
                outcome.head = $0
                return true
            },
            onBody: { part in
                text += part
                let isThere = String(decoding: text, as: UTF8.self).contains("second")
                if isThere { arrived = EventWatch.now }
                return !isThere
            },
            goesOn: {
                let from = answered.load(ordering: .sequentiallyConsistent)
                return from == 0 || Double(EventWatch.now - from) / 1e9 < patience
            })
        let writer = NamedThread("append") {
            usleep(UInt32(pause * 1e6))
            guard let caller = try? Caller(recipe) else { return }
            let text = HTTPField("Content-Type", "text/plain")
            let answer = try? caller.send("POST", url, [text], body: .bytes(Array("second".utf8)))
            if answer?.status == 204 { answered.store(EventWatch.now, ordering: .sequentiallyConsistent) }
        }
        defer { writer.join() }
        do throws(Obstacle) {
            _ = try site.caller.another().send(
                "GET", url + query, [], timeLimit: pause + patience + reserve, callbacks: watch)
        } catch {
            // Given up by ourselves before there was a head, or cut off: what arrived counts.
            guard case .failed(let failure) = error, [.timeout, .lost, .local].contains(failure.kind) else {
                throw error
            }
        }
        let ended = EventWatch.now
        let from = answered.load(ordering: .sequentiallyConsistent)
        // An empty answer that was under way when the append was made is none to it.
        outcome.hadTime = from > 0 && ended > from && Double(ended - from) / 1e9 > 0.2
        if outcome.head?.status == 429 { throw .skipped(EventWatch.tooMany) }
        guard arrived > 0 else { return outcome }
        // The event may overtake the answer to the append.
        outcome.delay = from > 0 && arrived > from ? Double(arrived - from) / 1e9 : 0
        return outcome
    }

    /// Nanoseconds of the monotonic clock.
    static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
