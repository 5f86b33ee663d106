import StreamClient

/// Pages of other origins may read answers, where they are let in.
enum CrossOrigin: SiteCheck {
    static let name = "cors"
    static let need = SiteNeed.reading

    /// An origin that nobody has.
    static let stranger = "https://doctor.invalid"

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let target = try site.readable("cors", body: "x")
        let origin = site.origin ?? stranger
        let answer = try site.send("GET", target, [HTTPField("Origin", origin)])
        if let doubled = doubled(answer, ["Access-Control-Allow-Origin", "Access-Control-Expose-Headers"]) {
            return [doubled]
        }
        let mustAllow = site.origin != nil || !site.isGuarded
        let allowed = answer.fields["Access-Control-Allow-Origin"]
        if mustAllow, allowed != "*", allowed != origin {
            return [refused("a read", origin, allowed, site)]
        }
        let exposed = (answer.fields["Access-Control-Expose-Headers"] ?? "").lowercased()
        for name in ["Stream-Next-Offset", "Stream-Up-To-Date", "ETag"] where allowed != nil {
            if !exposed.contains(name.lowercased()) {
                return [
                    Diagnosis(
                        .error,
                        seen: "pages may not see \(name): Access-Control-Expose-Headers is "
                            + (exposed.isEmpty ? "missing" : "another"),
                        matters: "clients in browsers do not know how to go on",
                        mend:
                            "take proxy_hide_header Access-Control-Expose-Headers out of your proxy (nginx), and every "
                            + "add_header Access-Control-… too")
                ]
            }
        }
        return []
    }

    /// A header that is there twice, or holds two values: browsers refuse both.
    static func doubled(_ answer: HTTPResponse, _ names: [String]) -> Diagnosis? {
        for name in names {
            let values = answer.fields.all(name)
            let isList = name.hasSuffix("Origin") && values.contains { $0.contains(",") }
            guard values.count > 1 || isList else { continue }
            return Diagnosis(
                .error, seen: "\(name) comes more than once: \(values.joined(separator: ", "))",
                matters: "browsers refuse such an answer",
                mend:
                    "take add_header Access-Control-… out of your proxy (nginx): the server answers for itself"
            )
        }
        return nil
    }

    static func refused(_ what: String, _ origin: String, _ allowed: String?, _ site: Site) -> Diagnosis {
        Diagnosis(
            .error,
            seen:
                "\(what) from \(origin) is answered with Access-Control-Allow-Origin \(allowed ?? "missing")",
            matters: "browsers hide the answer from the page",
            mend: (site.isGuarded ? "durable-streams set-cors PROJECT \(origin); or " : "")
                + "take proxy_hide_header Access-Control-Allow-Origin out of your proxy (nginx), or whatever else drops it"
        )
    }
}

/// What browsers ask before they send.
enum Preflight: SiteCheck {
    static let name = "preflight"
    static let need = SiteNeed.nothing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let origin = site.origin ?? CrossOrigin.stranger
        let answer = try site.send(
            "OPTIONS", site.target("preflight"),
            [
                HTTPField("Origin", origin), HTTPField("Access-Control-Request-Method", "PUT"),
                HTTPField("Access-Control-Request-Headers", "content-type,producer-id,stream-seq"),
            ], as: .nobody)
        guard (200..<300).contains(answer.status) else {
            return [
                diagnosis(
                    "a preflight is answered \(answer.line)",
                    mend:
                        "pass OPTIONS on without asking for credentials; in nginx no limit_except, auth_basic or "
                        + "auth_request for it in front of the server")
            ]
        }
        let names = [
            "Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
        ]
        if let doubled = CrossOrigin.doubled(answer, names) { return [doubled] }
        let allowed = answer.fields["Access-Control-Allow-Origin"]
        guard allowed == "*" || allowed == origin else {
            if site.isGuarded, site.origin == nil { return [] }
            return [CrossOrigin.refused("a preflight", origin, allowed, site)]
        }
        for (name, wanted) in [(names[1], "put"), (names[2], "producer-id"), (names[2], "stream-seq")] {
            let value = (answer.fields[name] ?? "").lowercased()
            guard value != "*", !value.contains(wanted) else { continue }
            return [
                diagnosis(
                    "a preflight does not allow \(wanted): \(name) is \(value.isEmpty ? "missing" : value)",
                    mend:
                        "let the server answer OPTIONS itself: take the OPTIONS rule and proxy_hide_header out of your "
                        + "proxy (nginx)")
            ]
        }
        return []
    }

    private static func diagnosis(_ seen: String, mend: String) -> Diagnosis {
        Diagnosis(.error, seen: seen, matters: "browsers send nothing after such an answer", mend: mend)
    }
}
