import StreamClient

/// Long texts travel compressed.
enum Compression: SiteCheck {
    static let name = "compression"
    static let need = SiteNeed.writing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let target = try site.makeStream(
            "compression", body: String(repeating: "durable streams ", count: 512))
        let answer = try site.send("GET", target, [HTTPField("Accept-Encoding", "gzip")])
        guard answer.status == 200, answer.fields["Content-Encoding"] == nil else { return [] }
        return [
            Diagnosis(
                .note, seen: "texts are not compressed for clients that ask for gzip",
                matters: "replays take several times the network",
                mend:
                    "pass Accept-Encoding on (take proxy_set_header Accept-Encoding \"\" out), or gzip on; in your proxy "
                    + "(nginx)")
        ]
    }
}
