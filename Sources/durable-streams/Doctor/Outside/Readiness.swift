import StreamClient

/// All parts of the server take requests.
enum Readiness: SiteCheck {
    static let name = "readiness"
    static let need = SiteNeed.nothing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let answer = try site.send("GET", "/readyz")
        guard answer.status != 200 else { return [] }
        guard answer.status >= 500 else { throw .skipped("/readyz is not passed on: \(answer.line)") }
        return [
            Diagnosis(
                .error, seen: "/readyz is answered \(answer.line)",
                matters: "a part of the server does not run, or can't write to the data directory",
                mend: "durable-streams status, and the server's log")
        ]
    }
}
