import StreamClient

/// An event is there as soon as it was appended.
enum EventBuffering: SiteCheck {
    static let name = "event-buffering"
    static let need = SiteNeed.writing

    /// Seconds from which on an event counts as held back.
    private static let late = 1.0

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        if site.isQueryLost { throw .skipped("the server does not get the query") }
        let target = try site.makeStream("events", body: "first")
        let outcome = try EventWatch.run(site, target, query: "?live=sse&offset=-1")
        if let delay = outcome.delay, delay < late {
            site.measured.append(("event_milliseconds", .number(Int64(delay * 1e3))))
            return []
        }
        if let head = outcome.head, head.status != 200 {
            return [
                diagnosis(
                    "an event stream is answered \(head.status)", mend: "pass GET with ?live=sse on as it is")
            ]
        }
        guard outcome.hadTime || outcome.delay != nil else { throw .skipped("the append took too long") }
        return [
            diagnosis(
                outcome.delay.map { "an event came \(LongPollTime.tenths($0)) s after its append" }
                    ?? "an event had not come \(EventWatch.patience) s after its append"
                    + (outcome.head == nil ? ", nor had the head of the answer" : ""),
                mend:
                    "proxy_buffering off; proxy_http_version 1.1; and gzip off; for event streams in your proxy (nginx); do not ignore "
                    + "X-Accel-Buffering; switch response buffering off at a CDN")
        ]
    }

    private static func diagnosis(_ seen: String, mend: String) -> Diagnosis {
        Diagnosis(
            .error, seen: seen,
            matters: "live readers get messages late, in bunches, or when the response ends",
            mend: mend)
    }
}
