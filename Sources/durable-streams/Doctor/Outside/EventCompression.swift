import StreamClient

/// Event streams go out uncompressed: a compressor waits for more.
enum EventCompression: SiteCheck {
    static let name = "event-compression"
    static let need = SiteNeed.reading

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        if site.isQueryLost { throw .skipped("the server does not get the query") }
        let target = try site.readable("event-compression", body: "first")
        var found: HTTPHead?
        let watch = HTTPClient.Callbacks(onHead: {
            found = $0
            return false
        })
        do throws(Obstacle) {
            _ = try site.caller.another().send(
                "GET", "\(site.address.origin)\(target)?live=sse&offset=now",
                [HTTPField("Accept-Encoding", "gzip, br")], timeLimit: 3, callbacks: watch)
        } catch {
            guard case .failed(let failure) = error, failure.kind == .timeout else { throw error }
            throw .skipped("no event stream began")
        }
        if found?.status == 429 { throw .skipped(EventWatch.tooMany) }
        guard let encoding = found?.fields["Content-Encoding"], encoding != "identity" else { return [] }
        return [
            Diagnosis(
                .error, seen: "an event stream is compressed (\(encoding))",
                matters: "events stay in the compressor until more of them come",
                mend: "take text/event-stream out of gzip_types (nginx), or of what your CDN compresses")
        ]
    }
}
