import StreamClient

/// Headers of requests arrive at the server; found out by what it does with them.
enum RequestHeaders: SiteCheck {
    static let name = "request-headers"
    static let need = SiteNeed.writing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        var lost: [String] = []
        if try !producerArrives(site) { lost += ["Producer-Id", "Producer-Epoch", "Producer-Seq"] }
        if try !sequenceArrives(site) { lost.append("Stream-Seq") }
        if try !lifetimeArrives(site) { lost.append("Stream-TTL") }
        if try !closureArrives(site) { lost.append("Stream-Closed") }
        if try !typeArrives(site) { lost.append("Content-Type") }
        if try !conditionArrives(site) { lost.append("If-None-Match") }
        site.lostHeaders = lost
        return lost.isEmpty ? [] : [RequestHeaders.lost(lost)]
    }

    static func lost(_ names: [String]) -> Diagnosis {
        let lines = names.map {
            "proxy_set_header \($0) $http_\($0.lowercased().split(separator: "-").joined(separator: "_"));"
        }
        return Diagnosis(
            .error, seen: "the server does not get \(names.joined(separator: ", "))",
            matters:
                "repeated appends are stored twice, order, lifetimes, conditions or access are not kept to",
            mend: "have your proxy pass all request headers on; in nginx take proxy_set_header NAME \"\" and "
                + "proxy_pass_request_headers off out, or add \(lines.joined(separator: " "))")
    }

    /// The same number twice is stored once.
    private static func producerArrives(_ site: Site) throws(Obstacle) -> Bool {
        let target = try site.makeStream("producer")
        let fields: HTTPFields = [
            HTTPField("Producer-Id", "doctor"), HTTPField("Producer-Epoch", "0"),
            HTTPField("Producer-Seq", "0"),
        ]
        for _ in 1...2 {
            if try site.append("x", to: target, fields).status >= 300 { return false }
        }
        return try site.send("GET", target).body.count <= 1
    }

    /// A smaller one is refused.
    private static func sequenceArrives(_ site: Site) throws(Obstacle) -> Bool {
        let target = try site.makeStream("sequence")
        try site.append("x", to: target, [HTTPField("Stream-Seq", "2")])
        return try site.append("y", to: target, [HTTPField("Stream-Seq", "1")]).status == 409
    }

    /// Another one conflicts.
    private static func lifetimeArrives(_ site: Site) throws(Obstacle) -> Bool {
        let target = try site.makeStream("lifetime")
        let fields: HTTPFields = [HTTPField("Content-Type", "text/plain"), HTTPField("Stream-TTL", "601")]
        return try site.send("PUT", target, fields, body: .bytes([])).status == 409
    }

    /// Nothing can be added behind.
    private static func closureArrives(_ site: Site) throws(Obstacle) -> Bool {
        let target = try site.makeStream("closure")
        try site.append("x", to: target, [HTTPField("Stream-Closed", "true")])
        return try site.append("y", to: target).status == 409
    }

    /// A stream is of the type that was asked for.
    private static func typeArrives(_ site: Site) throws(Obstacle) -> Bool {
        let target = try site.makeStream("type", type: "application/json")
        return try site.send("HEAD", target).fields["Content-Type"]?.hasPrefix("application/json") ?? true
    }

    /// What has not changed is not sent again.
    private static func conditionArrives(_ site: Site) throws(Obstacle) -> Bool {
        let target = try site.makeStream("condition", body: "x")
        guard let tag = try site.send("GET", target).fields["ETag"] else { return true }
        return try site.send("GET", target, [HTTPField("If-None-Match", tag)]).status == 304
    }
}
