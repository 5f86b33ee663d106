import StreamClient

/// The admin page is not for everybody.
enum AdminPage: SiteCheck {
    static let name = "admin-page"
    static let need = SiteNeed.nothing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let answer = try site.send("GET", "/admin/", as: .nobody)
        let isLocal =
            site.first.map { $0.facts.address == "::1" || $0.facts.address.hasPrefix("127.") } ?? true
        switch answer.status {
        case 200:
            return [
                diagnosis(
                    .error, "the admin page opens without a password", "whoever finds it may do everything")
            ]
        case 401 where !isLocal:
            return [
                diagnosis(
                    .warning, "the admin page asks for its password at \(site.address.origin)",
                    "the password alone protects it against everybody")
            ]
        default: return []
        }
    }

    private static func diagnosis(_ severity: Severity, _ seen: String, _ matters: String) -> Diagnosis {
        Diagnosis(
            severity, seen: seen, matters: matters,
            mend:
                "location /admin { return 404; } in your proxy (nginx), or DS_ADMIN_ALLOW with your own addresses"
        )
    }
}
