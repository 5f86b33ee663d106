import ServerSettings

/// nginx's directives for the limits that are set; none for those that aren't.
///
/// An address takes 64 bytes of a zone (nginx, ngx_http_limit_req_module): 10 MiB hold 160,000. A full one drops the oldest.
enum NginxLimits {
    private struct Limit {
        let zone: String
        let key: String
        let count: Int
    }

    private static func rateLimits(_ settings: Settings) -> [Limit] {
        [
            Limit(
                zone: "durable_streams_address", key: "$binary_remote_addr", count: settings.ratePerAddress),
            Limit(
                zone: "durable_streams_project", key: "$durable_streams_project",
                count: settings.ratePerProject),
        ].filter { $0.count > 0 }
    }

    private static func readerLimits(_ settings: Settings) -> [Limit] {
        [
            Limit(
                zone: "durable_streams_address_readers", key: "$binary_remote_addr",
                count: settings.livePerAddress),
            Limit(
                zone: "durable_streams_project_readers", key: "$durable_streams_project",
                count: settings.livePerProject),
        ].filter { $0.count > 0 }
    }

    private static func isLimited(_ settings: Settings) -> Bool {
        !rateLimits(settings).isEmpty || !readerLimits(settings).isEmpty
    }

    /// Which project a request is for; nothing is counted for others.
    private static let projects = """
        map $durable_streams_uri $durable_streams_project {
            default                            "";
            "~^/v1/stream/"                    _default;
            "~^/v1/([^/]+)/(stream/|streams$)" $1;
        }
        """

    /// What belongs into `http { … }`.
    static func zones(_ settings: Settings) -> String {
        guard isLimited(settings) else { return "" }
        return lines(
            [projects]
                + rateLimits(settings).map {
                    "limit_req_zone \($0.key) zone=\($0.zone):10m rate=\($0.count)r/s;"
                }
                + readerLimits(settings).map { "limit_conn_zone \($0.key) zone=\($0.zone):10m;" }
                + ["limit_req_status 429;", "limit_conn_status 429;"])
    }

    /// What belongs into `server { … }`.
    static func rates(_ settings: Settings) -> String {
        guard isLimited(settings) else { return "" }
        // As it is before any rewrite, with escapes decoded: no spelling of a project has a limit of its own.
        return lines(
            ["set $durable_streams_uri $uri;"]
                + rateLimits(settings).map { "limit_req zone=\($0.zone) burst=\($0.count) nodelay;" })
    }

    /// What belongs into the locations of live reads.
    static func readers(_ settings: Settings) -> String {
        readerLimits(settings).map { "    limit_conn \($0.zone) \($0.count);\n" }.joined()
    }

    private static func lines(_ lines: [String]) -> String { lines.joined(separator: "\n") }
}
