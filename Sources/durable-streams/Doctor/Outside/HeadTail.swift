import StreamClient

/// HEAD shows the tail as it is now.
enum HeadTail: SiteCheck {
    static let name = "head"
    static let need = SiteNeed.writing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let target = try site.makeStream("head", body: "x")
        var before: String?
        for _ in 1...2 { before = try site.send("HEAD", target).fields["Stream-Next-Offset"] }
        guard let before else { throw .skipped("HEAD shows no Stream-Next-Offset") }
        try site.append("y", to: target)
        let answer = try site.send("HEAD", target)
        guard answer.fields["Stream-Next-Offset"] == before else { return [] }
        return [
            Diagnosis(
                .error, seen: "HEAD after an append shows the tail from before it\(OwnWrites.age(answer))",
                matters: "a cache answers HEAD; who asks where a stream ends is told too little",
                mend:
                    "proxy_cache_bypass and proxy_no_cache for HEAD in your proxy, or proxy_cache off; (nginx)"
            )
        ]
    }
}
