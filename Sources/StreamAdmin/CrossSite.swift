import StreamService

/// Keeps pages of other sites from changing anything with the password that a browser remembers: the one place for all that
/// lies below /admin.
enum CrossSite {
    /// Judges a request that got through nginx's password.
    ///
    /// A page of another origin can't send `X-DS-Admin` without being asked for leave first, by a preflight that nobody
    /// here answers; what browsers say of the request's origin is looked at as well.
    ///
    /// - Parameter publicURL: the origin that clients use, where it is known; else that of the request.
    static func check(_ request: ServiceRequest, publicURL: String?) throws(AdminError) {
        if request.method == .get || request.method == .head { return }
        let headers = request.headers
        guard headers[.administratorIntent] == "1" else { throw .crossSite }
        if let site = headers[.fetchSite], site != "same-origin", site != "none" { throw .crossSite }
        guard let origin = headers[.origin] else { return }
        let own = headers.nonEmpty(.host).map { "\(request.scheme)://\($0)".lowercased() }
        guard
            origin.lowercased() == own || (publicURL.map { $0.lowercased() == origin.lowercased() } ?? false)
        else { throw .crossSite }
    }
}
