import ServerSettings

/// The values of the templates' placeholders.
public enum NginxPlaceholders {
    /// - Parameters:
    ///   - configurationDirectory: absolute path of the rendered files, without a trailing slash.
    ///   - user: nginx's `user` directive with its semicolon, or nothing.
    ///   - adminKey: what the pool and the live process know the admin route by; nil: there is none.
    public static func values(
        settings: Settings, configurationDirectory: String, user: String, adminKey: String? = nil
    ) -> [String: String] {
        [
            "DS_ADMIN_KEY": adminKey ?? "",
            "DS_ADMIN_HTTP": adminKey == nil ? "" : "include durable-streams-admin-http.conf;",
            "DS_ADMIN_SERVER": adminKey == nil ? "" : "include durable-streams-admin-server.conf;",
            "DS_ADMIN_ALLOW": settings.adminAllow.entries.map { "allow \($0);" }.joined(separator: "\n"),
            "DS_ADMIN_PASSWORDS": settings.layout.adminPasswordHash,
            "DS_ADMIN_PAGE": settings.layout.adminPage,
            "DS_LISTEN": settings.listen.description,
            "DS_USER": user,
            "DS_NGINX_DIR": configurationDirectory,
            "DS_RUN_DIR": settings.layout.runDirectory,
            "DS_CACHE_DIR": settings.layout.cacheDirectory,
            "DS_SEGMENT_DIR": settings.layout.segmentsDirectory,
            "DS_CACHE_SIZE": megabytes(settings.cacheSize),
            "DS_MAX_BODY_BYTES": "\(settings.maxBodyBytes)",
            "DS_AUTH": settings.auth.rawValue,
            "DS_AUTH_DELEGATE_URL": settings.authDelegateURL ?? "",
            "DS_VERDICT_DIR": settings.layout.verdictDirectory,
            "DS_LIMIT_ZONES": NginxLimits.zones(settings),
            "DS_RATE_LIMITS": NginxLimits.rates(settings),
            "DS_LIVE_LIMITS": NginxLimits.readers(settings),
            "DS_DEBUG_HEADERS": debugHeaders(settings),
            "DS_REQUEST_LOG": requestLog(settings),
            "DS_REQUEST_LOG_FORMATS": settings.requestLog == .off
                ? "" : "include durable-streams-request-log.conf;",
            "DS_LIVE_READ_TIMEOUT": "\(liveReadTimeout(settings))",
        ]
    }

    /// What answers tell of themselves with `debug_timing`; of an answer from the cache the pool has said nothing.
    private static func debugHeaders(_ settings: Settings) -> String {
        guard settings.debugTiming else { return "" }
        return """
            add_header X-Request-Id $durable_streams_request_id always;
            add_header Server-Timing $durable_streams_timing always;
            """
    }

    /// nginx's directive for the request log.
    private static func requestLog(_ settings: Settings) -> String {
        let format = "durable_streams_\(settings.requestLogFormat.rawValue)"
        return switch settings.requestLog {
        case .off: ""
        // At once, and each line by itself: others write there too.
        case .standardOutput: "access_log /dev/stdout \(format);"
        case .file(let path): "access_log \(path) \(format) buffer=64k flush=1s;"
        }
    }

    /// nginx's notation for sizes, rounded up.
    private static func megabytes(_ bytes: Int) -> String {
        let megabyte = 1 << 20
        return "\((bytes + megabyte - 1) / megabyte)m"
    }

    /// Whole seconds that nginx waits for the live process: longer than any response of it is silent, with room for
    /// a late timer.
    static func liveReadTimeout(_ settings: Settings) -> Int {
        let longest = max(
            90, settings.longPollTimeout + 30, settings.sseLifetime + 30, settings.sseKeepAlive * 3)
        return Int(longest.rounded(.up))
    }
}
