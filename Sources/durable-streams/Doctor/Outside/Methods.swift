import StreamClient

/// All methods reach the server.
enum Methods: SiteCheck {
    static let name = "methods"
    static let need = SiteNeed.writing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let target = try site.makeStream("methods")
        for (method, expected) in [("HEAD", 200), ("POST", 204), ("OPTIONS", 204), ("DELETE", 204)] {
            let answer = try site.send(
                method, target, [HTTPField("Content-Type", "text/plain")],
                body: method == "POST" ? .bytes([UInt8(ascii: "x")]) : .none)
            // A preflight has a check of its own.
            if method == "OPTIONS", answer.code == nil { continue }
            if answer.status != expected, answer.code == nil { return [refused(method, answer)] }
        }
        return []
    }

    static func refused(_ method: String, _ answer: HTTPResponse) -> Diagnosis {
        Diagnosis(
            .error, seen: "\(method) is answered \(answer.line), and not by the server",
            matters: "streams are made with PUT, written with POST and removed with DELETE",
            mend:
                "let your proxy or firewall pass GET, HEAD, PUT, POST, DELETE and OPTIONS: in nginx take limit_except "
                + "and dav_methods out")
    }
}
