import StreamClient

/// A connection carries more than one request.
enum Connections: SiteCheck {
    static let name = "connections"
    static let need = SiteNeed.nothing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let caller = try site.caller.another()
        var answers: [HTTPResponse] = []
        for _ in 1...3 {
            answers.append(try caller.send("GET", site.address.origin + "/healthz", []))
        }
        if let old = answers.first(where: { $0.head.version.hasPrefix("1.0") }) {
            return [
                diagnosis(
                    "answers are HTTP/\(old.head.version)", mend: "speak HTTP/1.1 or HTTP/2 to clients")
            ]
        }
        guard !answers.dropFirst().contains(where: \.facts.isReused) else { return [] }
        return [
            diagnosis(
                "each request needs a connection of its own",
                mend: "keepalive_timeout 75s; in your proxy (nginx)")
        ]
    }

    private static func diagnosis(_ seen: String, mend: String) -> Diagnosis {
        Diagnosis(
            .warning, seen: seen,
            matters: "each request waits for TCP and TLS to begin anew, and ports run out",
            mend: mend)
    }
}
