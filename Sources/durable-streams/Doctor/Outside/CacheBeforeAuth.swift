import StreamAccess
import StreamClient

/// What one reader was given is not given to another without looking at the token.
enum CacheBeforeAuth: SiteCheck {
    static let name = "cache-before-auth"
    static let need = SiteNeed.reading

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        guard site.isGuarded else { throw .skipped("everybody may read") }
        for target in try targets(site) {
            // What may be kept is kept now.
            for _ in 1...2 {
                let own = try site.send("GET", target)
                guard own.status == 200 else { throw .skipped("the read itself is answered \(own.line)") }
            }
            for (identity, whose) in strangers(site) {
                let answer = try site.send("GET", target, as: identity)
                guard answer.status < 400 else { continue }
                return [
                    Diagnosis(
                        .error, seen: "a read \(whose) is answered \(answer.line), behind one with the token",
                        matters:
                            "a cache answers before anybody looks at the token: everybody reads everything",
                        mend: "proxy_cache off; or proxy_no_cache $http_authorization; proxy_cache_bypass "
                            + "$http_authorization; in your proxy (nginx), and heed Cache-Control: private at a CDN; in the "
                            + "server's own nginx the files of `durable-streams nginx-config` as they are")
                ]
            }
        }
        return []
    }

    /// Reads of which caches could keep a copy: of the end of a stream, and of a piece before it.
    private static func targets(_ site: Site) throws(Obstacle) -> [String] {
        guard site.mayWrite else { return [try site.readable("guarded", body: "")] }
        let small = try site.makeStream("guarded", body: "secret")
        guard let long = try LongStream.piece(site) else { return [small] }
        return [small, long.target + "?offset=" + long.start]
    }

    private static func strangers(_ site: Site) -> [(Site.Identity, String)] {
        var all: [(Site.Identity, String)] = [(.nobody, "without a token")]
        guard let claims = site.claims?.claims, let token = site.caller.recipe.token else { return all }
        let forged = String(token.dropLast(8)) + "AAAAAAAA"
        all.append((.bearer(forged), "with a forged token"))
        var old = claims
        old.expires = 1_000
        if let expired = try? TokenIssuer.mint(old, secret: Array("dss_doctor_knows_no_secret_of_yours".utf8))
        {
            all.append((.bearer(expired), "with an expired token"))
        }
        return all
    }
}
