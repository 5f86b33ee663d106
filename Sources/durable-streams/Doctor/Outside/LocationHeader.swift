import StreamClient

/// `Location` of a new stream leads back to where we are.
enum LocationHeader: SiteCheck {
    static let name = "location"
    static let need = SiteNeed.writing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let target = site.target("location")
        let answer = try site.send("PUT", target, [HTTPField("Content-Type", "text/plain")], body: .bytes([]))
        guard let location = answer.fields["Location"] else { throw .skipped("there is none") }
        guard location != site.address.origin + target, location != target else { return [] }
        return [
            Diagnosis(
                .warning, seen: "Location of a new stream is \(location)",
                matters: "clients that follow it leave the way they came by",
                mend:
                    "DS_PUBLIC_URL=\(site.address.origin), or proxy_set_header Host $http_host; in your proxy (nginx)"
            )
        ]
    }
}
