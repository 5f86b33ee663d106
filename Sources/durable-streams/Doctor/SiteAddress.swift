import StreamAccess

/// The parts of the URL that was given.
struct SiteAddress {
    /// Scheme, host and port, without a slash.
    let origin: String
    /// The path of the project's streams, without a slash at its end.
    let streams: String

    /// - Parameter url: of the server, or of something below it.
    init(url: String, project: String?, token: String?) {
        var url = url
        if !url.contains("://") { url = "http://" + url }
        let start = url.firstRange(of: "://")?.upperBound ?? url.startIndex
        let end = url[start...].firstIndex(of: "/") ?? url.endIndex
        origin = String(url[..<end])
        let parts = url[end...].split(separator: "/")
        var named = project ?? token.flatMap(SiteClaims.init)?.subject
        if named == nil, parts.count > 2, parts[0] == "v1", parts[2] == "stream" { named = String(parts[1]) }
        streams = named.map { $0 == "_default" ? "/v1/stream" : "/v1/\($0)/stream" } ?? "/v1/stream"
    }

    var isTLS: Bool { origin.hasPrefix("https://") }

    /// The host with its port, if there is one.
    var authority: Substring { origin.drop { $0 != ":" }.dropFirst(3) }

    /// Whether only this machine is meant.
    var isLoopback: Bool {
        ["127.", "localhost", "[::1]"].contains { authority.hasPrefix($0) }
    }

    /// What is to lead to https where the usual ports are in use.
    var usualPlainURL: String? {
        guard isTLS else { return nil }
        guard authority.last != "]", let colon = authority.lastIndex(of: ":") else {
            return "http://\(authority)/healthz"
        }
        return authority[colon...] == ":443" ? "http://\(authority[..<colon])/healthz" : nil
    }
}

/// What a token of a project says of itself. Nobody has verified it.
struct SiteClaims {
    let claims: TokenClaims

    init?(token: String) {
        do throws(TokenProblem) {
            claims = try TokenVerifier.decode(unverified: token)
        } catch {
            return nil
        }
    }

    /// The project.
    var subject: String { claims.subject }

    /// What paths of our own streams begin with, so that the token covers them.
    var prefix: String {
        guard let path = claims.streamID, path.hasSuffix("/*") else { return "" }
        return String(path.dropLast())
    }
}
