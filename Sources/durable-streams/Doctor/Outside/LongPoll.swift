import StreamClient

/// A long-poll that waits is answered as soon as something was appended.
enum LongPoll: SiteCheck {
    static let name = "long-poll"
    static let need = SiteNeed.writing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        if site.isQueryLost { throw .skipped("the server does not get the query") }
        let target = try site.makeStream("long-poll")
        let outcome = try EventWatch.run(site, target, query: "?live=long-poll&offset=now")
        guard outcome.delay == nil else { return [] }
        switch outcome.head?.status {
        case 204? where !outcome.hadTime: throw .skipped("its time was up before the append")
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
