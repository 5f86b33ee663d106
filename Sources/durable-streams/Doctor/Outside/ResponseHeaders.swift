import StreamClient

/// Headers of answers arrive at the client.
enum ResponseHeaders: SiteCheck {
    static let name = "response-headers"
    static let need = SiteNeed.writing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let target = site.target("answers")
        let text = HTTPField("Content-Type", "text/plain")
        var answers: [(HTTPResponse, [String])] = []
        answers.append(
            (
                try site.send("PUT", target, [text, HTTPField("Stream-TTL", "600")], body: .bytes([0x78])),
                ["Location", "Stream-Next-Offset"]
            ))
        answers.append(
            (
                try site.send("GET", target),
                [
                    "Content-Type", "Stream-Next-Offset", "Stream-Up-To-Date", "ETag", "Cache-Control",
                    "X-Content-Type-Options",
                ]
            ))
        answers.append((try site.send("HEAD", target), ["Stream-TTL"]))
        if !site.isQueryLost {
            answers.append((try site.send("GET", target + "?live=long-poll&offset=-1"), ["Stream-Cursor"]))
        }
        let producer: HTTPFields = [
            HTTPField("Producer-Id", "doctor"), HTTPField("Producer-Epoch", "0"),
            HTTPField("Producer-Seq", "0"),
        ]
        answers.append((try site.append("y", to: target, producer), ["Producer-Epoch", "Producer-Seq"]))
        answers.append(
            (
                try site.append("z", to: target, [HTTPField("Stream-Closed", "true")]), ["Stream-Closed"]
            ))
        var missing: [String] = []
        for (answer, names) in answers where answer.status < 300 {
            // What the server was not asked for it does not answer.
            for name in names where answer.fields[name] == nil && !site.lostHeaders.contains(name) {
                if !missing.contains(name) { missing.append(name) }
            }
        }
        guard !missing.isEmpty else { return [] }
        let lines = missing.map { "proxy_pass_header \($0);" }
        return [
            Diagnosis(
                .error, seen: "answers come without \(missing.joined(separator: ", "))",
                matters: "clients go on by these headers; without them they stop, or read the same again",
                mend:
                    "take proxy_hide_header and add_header's replacements for them out of your proxy; in nginx also "
                    + lines.joined(separator: " "))
        ]
    }
}
