import StreamClient

/// The first requests: is anybody there, and what may we do?
enum Entrance {
    /// What it found out.
    struct Outcome {
        var found: [(check: String, Diagnosis)] = []
        /// Why there is nothing more to ask; nil: there is.
        var end: String?
    }

    static func enter(_ site: Site) throws(Obstacle) -> Outcome {
        var outcome = Outcome()
        try connect(site, &outcome)
        let target = site.target("entrance")
        let answer = try site.send(
            "PUT", target, [HTTPField("Content-Type", "text/plain"), HTTPField("Stream-TTL", "600")],
            body: .bytes([]))
        site.mayWrite = answer.status == 201
        let asNobody = try site.send("GET", site.target("nothing"), as: .nobody)
        site.isGuarded = asNobody.status == 401 || asNobody.status == 403
        guard !site.mayWrite else { return outcome }
        judge(answer, site, &outcome)
        return outcome
    }

    /// The first connection. A certificate that nobody trusts is a finding, and the rest is asked without it.
    private static func connect(_ site: Site, _ outcome: inout Outcome) throws(Obstacle) {
        do throws(Obstacle) {
            site.first = try site.send("GET", "/readyz")
        } catch {
            guard case .failed(let failure) = error, failure.kind == .tls else { throw error }
            outcome.found.append((Certificate.name, Certificate.refused(failure, site)))
            site.use(try site.caller.another { $0.checksCertificate = false })
            site.first = try site.send("GET", "/readyz")
        }
    }

    /// Nothing could be written: whose no is that?
    private static func judge(_ answer: HTTPResponse, _ site: Site, _ outcome: inout Outcome) {
        let hasToken = site.caller.recipe.token != nil
        switch (answer.status, answer.code) {
        case (401, "TOKEN_REQUIRED"?) where hasToken:
            outcome.found.append((RequestHeaders.name, RequestHeaders.lost(["Authorization"])))
        case (401, _?) where hasToken:
            outcome.found.append(
                (
                    "token",
                    Diagnosis(
                        .error, seen: "the token is refused: \(answer.line)",
                        matters: "nobody gets in with it; why stands in the server's log",
                        mend: "durable-streams check-token TOKEN --data-dir DIRECTORY")
                ))
        case (401, _?), (403, _?): break
        case (507, _?):
            outcome.found.append(
                (
                    DiskSpaceCheck.name,
                    Diagnosis(
                        .error, seen: "creating a stream is answered \(answer.line)",
                        matters: "nothing can be written; reads and deletes go on",
                        mend:
                            "make room on the disk of the data directory (df), or raise the quota of the project "
                            + "(durable-streams set-quota)")
                ))
        case (429, _), (503, _?), (500, _?), (502, _?), (504, _?):
            outcome.found.append(
                (
                    Readiness.name,
                    Diagnosis(
                        .error, seen: "creating a stream is answered \(answer.line)",
                        matters: "clients get the same", mend: "durable-streams status, and the server's log")
                ))
        case (405, _), (403, nil), (401, nil), (501, _):
            outcome.found.append((Methods.name, Methods.refused("PUT", answer)))
        default:
            outcome.end =
                "\(site.address.origin)\(site.address.streams) speaks no Durable Streams: creating a stream "
                + "is answered \(answer.line)"
        }
    }
}
