import StreamClient

/// A long-poll that waits is answered as soon as something was appended.
enum LongPoll: SiteCheck {
    static let name = "long-poll"
    static let need = SiteNeed.writing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        if site.isQueryLost { throw .skipped("the server does not get the query") }
        let target = try site.makeStream("long-poll")
        let before = EventWatch.now
        let outcome = try EventWatch.run(site, target, query: "?live=long-poll&offset=now")
        let seconds = Double(EventWatch.now - before) / 1e9
        guard outcome.delay == nil else { return [] }
        switch outcome.head?.status {
        // Its time was up before the append.
        case 204? where seconds < 0.5: throw .skipped("long-polls end too soon here")
        case let status:
            return [
                Diagnosis(
                    .error,
                    seen:
                        "a long-poll is answered \(status.map { "\($0)" } ?? "nothing"), without what was appended",
                    matters: "readers wait for what is there already",
                    mend:
                        "cache no live reads: proxy_cache_bypass $arg_live; and proxy_no_cache $arg_live; in your proxy "
                        + "(nginx)")
            ]
        }
    }
}
