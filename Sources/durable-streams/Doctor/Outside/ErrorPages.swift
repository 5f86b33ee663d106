import StreamClient

/// Errors are the server's own.
enum ErrorPages: SiteCheck {
    static let name = "error-pages"
    static let need = SiteNeed.nothing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        for target in [site.target("no-such-stream"), site.address.streams + "/doctor?offset=no-offset"] {
            let answer = try site.send("GET", target)
            guard answer.status >= 400, answer.code == nil else { continue }
            return [
                Diagnosis(
                    .error, seen: "an error is answered \(answer.line) without the server's code",
                    matters: "clients decide by code and headers of an error: what to retry, what to give up",
                    mend: "proxy_intercept_errors off; and no error_page in your proxy (nginx)")
            ]
        }
        return []
    }
}
