import StreamClient

/// The query goes through as it was written, and is part of what caches go by.
enum QueryStrings: SiteCheck {
    static let name = "query"
    static let need = SiteNeed.writing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let target = try site.makeStream("query")
        let middle = try site.append("abc", to: target).fields["Stream-Next-Offset"]
        try site.append("def", to: target)
        // Nobody has asked for this stream before: no copy can be meant.
        if try site.send("GET", target + "?offset=now").text == "abcdef" {
            site.isQueryLost = true
            return [
                diagnosis(
                    "the server does not get the query",
                    mend: "pass the query on: in nginx proxy_pass http://NAME; without "
                        + "a path, or with $is_args$args behind it")
            ]
        }
        _ = try site.send("GET", target + "?offset=-1")
        if let middle, try site.send("GET", "\(target)?offset=\(middle)").text == "abcdef" {
            return [
                diagnosis(
                    "two reads that differ in their query get the same answer",
                    mend:
                        "make the whole query part of the key: proxy_cache_key $scheme$host$request_uri; (nginx), or "
                        + "\"include query string\" at a CDN")
            ]
        }
        if try site.send("GET", target + "?offset=-1&offset=-1").status == 200 {
            return [
                diagnosis(
                    "the query is rewritten on the way: a parameter that was sent twice came once",
                    mend: "switch sorting, merging and normalising of queries off in your proxy or CDN")
            ]
        }
        return []
    }

    private static func diagnosis(_ seen: String, mend: String) -> Diagnosis {
        Diagnosis(
            .error, seen: seen, matters: "readers get another part of the stream than they asked for",
            mend: mend)
    }
}
