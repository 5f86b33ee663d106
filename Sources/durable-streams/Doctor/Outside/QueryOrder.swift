import StreamClient

/// A stream of which the first piece ends before the tail, so that the server's nginx keeps it.
enum LongStream {
    /// Bytes: more than a piece of a catch-up read has, unless its setting was raised.
    private static let piece = (1 << 20) + 4_096

    /// The stream and its first offset; nil where that can't be made.
    static func piece(_ site: Site) throws(Obstacle) -> (target: String, start: String)? {
        if let made = site.longStream { return made }
        let target = site.target("long")
        let text = HTTPField("Content-Type", "text/plain")
        let start = try site.send("PUT", target, [text], body: .bytes([])).fields["Stream-Next-Offset"]
        guard let start else { return nil }
        for _ in 1...2 {
            let body = HTTPRequest.Body.bytes([UInt8](repeating: 0x78, count: piece))
            guard try site.send("POST", target, [text], body: body).status < 300 else { return nil }
        }
        site.longStream = (target, start)
        return site.longStream
    }
}

/// The parameters of a query stay in their order: the server's nginx keeps a copy for each.
enum QueryOrder: SiteCheck {
    static let name = "query-order"
    static let need = SiteNeed.writing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        guard let long = try LongStream.piece(site) else { throw .skipped("no long stream could be made") }
        let url = "\(long.target)?offset=\(long.start)&cursor=1"
        for _ in 1...2 { _ = try site.send("GET", url) }
        guard try site.send("GET", url).isCopy else {
            throw .skipped("nginx keeps no copies of such reads here")
        }
        // Asked for the first time.
        guard try site.send("GET", "\(long.target)?cursor=1&offset=\(long.start)").isCopy else { return [] }
        return [
            Diagnosis(
                .note, seen: "the parameters of a query are put into another order on the way",
                matters: "what caches keep, and logs show, is not the URL that clients ask for",
                mend: "switch sorting of queries off in your proxy or CDN")
        ]
    }
}

extension HTTPResponse {
    /// Whether the server's nginx has answered from its cache.
    fileprivate var isCopy: Bool { fields["X-Cache"] == "HIT" || fields["X-Cache"] == "REVALIDATED" }
}
