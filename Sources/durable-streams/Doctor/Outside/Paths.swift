import StreamClient

/// Paths go through as they were written: the server refuses what is not clear.
enum Paths: SiteCheck {
    static let name = "paths"
    static let need = SiteNeed.nothing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        var changed: [String] = []
        for (shown, path) in [("//", "a//b"), ("/../", "a/../b"), ("%2e%2e", "a/%2e%2e/b"), ("%2F", "a%2Fb")]
        {
            let answer = try site.send("GET", site.target(path))
            if answer.code == "STREAM_NOT_FOUND" || answer.status == 200 { changed.append(shown) }
        }
        if site.mayWrite {
            // A name with a percent sign: decoded once too often it is another.
            let target = try site.makeStream("percent%2541", body: "x")
            if try site.send("GET", site.target("percentA")).status == 200 { changed.append("%25") }
            if try site.send("GET", target).status == 404 { changed.append("%25") }
        }
        guard !changed.isEmpty else { return [] }
        return [
            Diagnosis(
                .error, seen: "paths are changed on the way: \(changed.joined(separator: " "))",
                matters:
                    "one stream has several names for the proxy and its rules, and others can't be reached",
                mend:
                    "merge_slashes off; and proxy_pass http://NAME; without a path or $uri behind it (nginx)")
        ]
    }
}
