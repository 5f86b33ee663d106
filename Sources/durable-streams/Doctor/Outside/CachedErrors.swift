import StreamClient

/// What was not there a moment ago is there once it was made.
enum CachedErrors: SiteCheck {
    static let name = "cached-errors"
    static let need = SiteNeed.writing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let target = site.target("missing")
        for _ in 1...2 { _ = try site.send("GET", target) }
        _ = try site.makeStream("missing", body: "x")
        let answer = try site.send("GET", target)
        guard answer.status == 404 else { return [] }
        return [
            Diagnosis(
                .error, seen: "a stream that was just made is answered 404\(OwnWrites.age(answer))",
                matters: "a cache keeps errors, although they say no-store",
                mend:
                    "take proxy_cache_valid for 404 or any, and proxy_ignore_headers Cache-Control, out of your proxy "
                    + "(nginx); switch negative caching off at a CDN")
        ]
    }
}
