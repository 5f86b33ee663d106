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
                zone: "durable_streams_address", key: "$durable_streams_client",
                count: settings.ratePerAddress),
            Limit(
                zone: "durable_streams_project", key: "$durable_streams_project",
                count: settings.ratePerProject),
        ].filter { $0.count > 0 }
    }

    private static func readerLimits(_ settings: Settings) -> [Limit] {
        [
            Limit(
                zone: "durable_streams_address_readers", key: "$durable_streams_client",
                count: settings.livePerAddress),
            Limit(
                zone: "durable_streams_project_readers", key: "$durable_streams_project",
                count: settings.livePerProject),
        ].filter { $0.count > 0 }
    }

    private static func isLimited(_ settings: Settings) -> Bool {
        !rateLimits(settings).isEmpty || !readerLimits(settings).isEmpty
    }

    /// Whom a request is counted for: client and project. A method holds no colon, a path may. Preflights and probes count for nobody.
    private static let counted = """
        map "$request_method:$uri" $durable_streams_client {
            default                  $binary_remote_addr;
            "~^OPTIONS:"             "";
            "~^[^:]*:/(healthz|readyz)\\z" "";
        }
        map "$request_method:$uri" $durable_streams_project {
            default                             "";
            "~^OPTIONS:"                        "";
            "~^[^:]*:/v1/stream/" _default;
            "~^[^:]*:/v1/([^/]+)/(stream/|streams\\z)" $1;
        }
        """

    /// What belongs into `http { … }`.
    static func zones(_ settings: Settings) -> String {
        guard isLimited(settings) else { return "" }
        return lines(
            [counted]
                + rateLimits(settings).map {
                    "limit_req_zone \($0.key) zone=\($0.zone):10m rate=\($0.count)r/s;"
                }
                + readerLimits(settings).map { "limit_conn_zone \($0.key) zone=\($0.zone):10m;" }
                + [
                    "limit_req_status 429;", "limit_conn_status 429;", "limit_req_log_level info;",
                    "limit_conn_log_level info;",
                ])
    }

    /// What belongs into `server { … }`.
    static func rates(_ settings: Settings) -> String {
        guard isLimited(settings) else { return "" }
        // Read before any rewrite, and in no subrequest again: with escapes decoded, no spelling of a project has a limit
        // of its own.
        return lines(
            ["set $durable_streams_counted $durable_streams_client$durable_streams_project;"]
                + rateLimits(settings).map { "limit_req zone=\($0.zone) burst=\($0.count) nodelay;" })
    }

    /// What belongs into the locations of live reads.
    static func readers(_ settings: Settings) -> String {
        readerLimits(settings).map { "    limit_conn \($0.zone) \($0.count);\n" }.joined()
    }

    private static func lines(_ lines: [String]) -> String { lines.joined(separator: "\n") }
}
