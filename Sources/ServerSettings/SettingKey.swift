/// One row of the table of settings: its names, default, unit, grammar and reason.
public struct SettingKey: Sendable {
    /// The key in the settings file, in snake case: `long_poll_timeout`.
    public let name: String
    /// The value when no source gives one, in the notation of the sources.
    public let defaultText: String
    /// Unit or kind of the value, for help texts.
    public let unit: String
    /// Why the key exists and why its default is what it is.
    public let reason: String
    /// Sentences about the key for the settings file.
    public let notes: String
    /// Grammar, and the field of ``Settings`` it belongs to.
    let value: SettingValue

    /// - Parameter notes: sentences that say more than `reason`, in its place.
    init(
        _ name: String, _ value: SettingValue, default text: String, unit: String, reason: String,
        notes: String? = nil
    ) {
        self.name = name
        self.value = value
        defaultText = text
        self.unit = unit
        self.reason = reason
        self.notes = notes ?? reason.prefix(1).uppercased() + reason.dropFirst() + "."
    }

    /// The environment variable: `DS_LONG_POLL_TIMEOUT`.
    public var environmentName: String { "DS_" + name.uppercased() }

    /// The flag: `--long-poll-timeout`.
    public var flag: String { "--" + String(name.map { $0 == "_" ? "-" : $0 }) }

    /// What the key accepts, for error messages and help.
    public var accepted: String { value.accepted }

    /// The unit with the range or the words that are accepted: `processes, 1 to 64`.
    public var unitAndRange: String { value.range.map { "\(unit), \($0)" } ?? unit }

    /// The words that are accepted, where they are few.
    public var choices: [String] { value.choices }

    /// The environment variable that names the settings file.
    public static let configEnvironmentName = "DS_CONFIG"
    /// Variables of the commands that are clients of a server: they may be set where a server starts, too, and are
    /// none of its settings.
    public static let clientEnvironmentNames: Set = ["DS_URL", "DS_TOKEN"]
    /// The flag that names the settings file.
    public static let configFlag = "--config"

    /// Every key. Names, flags, defaults, help, checks and `Settings.environment()` derive from this table, and a
    /// test compares Config/durable-streams.yaml with it.
    public static let all: [SettingKey] = [
        SettingKey(
            "listen", .listenAddress(\.listen), default: "127.0.0.1:4437", unit: "address:port",
            reason:
                "where nginx listens; loopback, since nothing is protected until you decide who may enter",
            notes: "Where nginx listens. Loopback, since nothing is protected until you decide who may "
                + "enter. Put an IPv6 address in quotes: \"[::1]:4437\"."),
        SettingKey(
            "data_dir", .path(\.dataDirectory), default: "data", unit: "directory",
            reason: "everything the server stores; a relative path counts from the working directory",
            notes: "Everything the server stores. A relative path counts from the working directory, not "
                + "from this file. No white space and none of ; : { } \" ' \\ $ # @, since the path is also "
                + "written into nginx's files."),
        SettingKey(
            "workers", .integer(\.workers, 1...64), default: "1", unit: "processes",
            reason: "worker processes behind nginx; appends share one writer lock, so more help readers only",
            notes: "Worker processes behind nginx. Appends of all workers share one writer lock, so more "
                + "workers help readers only."),
        SettingKey(
            "worker_threads", .integer(\.workerThreads, 1...64), default: "2", unit: "threads",
            reason: "reader threads per worker; connections are not bound to threads",
            notes: "Reader threads per worker. Connections are not bound to threads: two serve hundreds."),
        SettingKey(
            "queue_requests", .integer(\.queueRequests, 1...1_000_000), default: "4096", unit: "writes",
            reason: "most writes of a worker that wait to be stored; more get 503 at once",
            notes:
                "Most writes of a worker that wait to be stored; more get 503 with Retry-After at once. Each that "
                + "waits takes some 20 KB."),
        SettingKey(
            "queue_bytes", .bytes(\.queueBytes, 1...(16 << 30)), default: "256MiB", unit: "bytes",
            reason: "most bytes of their bodies; one of any size is taken while there are fewer"),
        SettingKey(
            "queue_milliseconds", .integer(\.queueMilliseconds, 1...3_600_000), default: "2000",
            unit: "milliseconds",
            reason: "a write that is expected to wait longer gets 503 at once",
            notes:
                "A write that is expected to wait longer, by what the last transactions took, gets 503 with "
                + "Retry-After at once. So does each while a transaction has taken four times as long already."
        ),
        SettingKey(
            "long_poll_timeout", .seconds(\.longPollTimeout, 0.05...3600), default: "30", unit: "seconds",
            reason: "how long a long-poll waits for data; below the idle time-outs of common proxies",
            notes: "How long a long-poll waits for data. Below the idle time-outs of common proxies."),
        SettingKey(
            "sse_lifetime", .seconds(\.sseLifetime, 0.1...86400), default: "60", unit: "seconds",
            reason: "after this an SSE response ends and the client reconnects, so that proxies can reuse it",
            notes: "After this an SSE response ends and the client reconnects where it was, so that proxies "
                + "and CDNs can collapse requests and a reload of nginx ends old connections."),
        SettingKey(
            "sse_keep_alive", .seconds(\.sseKeepAlive, 0.1...3600), default: "15", unit: "seconds",
            reason: "a comment line keeps quiet SSE responses open through proxies that close idle ones"),
        SettingKey(
            "reload_spread", .seconds(\.reloadSpread, 0...600), default: "5", unit: "seconds",
            reason: "at a reload live readers are asked to reconnect one after the other over this time"),
        SettingKey(
            "max_body_bytes", .bytes(\.maxBodyBytes, 1...(1 << 30)), default: "16MiB", unit: "bytes",
            reason: "largest request body; nginx and the worker refuse more with 413",
            notes: "Largest request body. nginx and the worker refuse more with status 413."),
        SettingKey(
            "read_chunk_bytes", .bytes(\.readChunkBytes, 65536...(64 << 20)), default: "1MiB", unit: "bytes",
            reason: "piece size of a catch-up read; small enough to cache and to bound memory",
            notes: "Piece size of a catch-up read: small enough to cache well and to bound memory, large "
                + "enough that a long stream takes few requests. A segment file of up to 8 MiB goes out "
                + "whole all the same."),
        SettingKey(
            "public_url", .origin(\.publicURL), default: "", unit: "URL",
            reason: "origin that clients see, for absolute URLs in answers; empty: taken from the request",
            notes: "The http or https origin that clients see, without a trailing slash, for absolute URLs "
                + "in answers. Empty: taken from the request."),
        SettingKey(
            "cache_size", .bytes(\.cacheSize, (1 << 20)...(16 << 40)), default: "1GiB", unit: "bytes",
            reason: "most disk space of nginx's cache of catch-up reads"),
        SettingKey(
            "log_level", .logLevel(\.logLevel), default: "info", unit: "level",
            reason: "least severe level that workers and the live process log; LOG_LEVEL counts too",
            notes:
                "Least severe level that workers and the live process log. The variable LOG_LEVEL counts too, where "
                + "DS_LOG_LEVEL is missing."),
        SettingKey(
            "log_format", .choice(\.logFormat), default: "text", unit: "format",
            reason: "lines of all processes on standard error: text, or one JSON object each"),
        SettingKey(
            "request_log", .requestLog(\.requestLog), default: "off", unit: "off, stdout or path",
            reason: "where nginx writes one line for each request; queries and headers are never in it",
            notes:
                "Where nginx writes one line for each request; a path is absolute. Queries and headers are never "
                + "in it, so neither tokens nor reader keys."),
        SettingKey(
            "request_log_format", .choice(\.requestLogFormat), default: "json", unit: "format",
            reason: "lines of the request log: one JSON object each, or text"),
        SettingKey(
            "slow_request_milliseconds", .integer(\.slowRequestMilliseconds, 0...3_600_000), default: "1000",
            unit: "milliseconds",
            reason: "a request that takes longer gets a line that says what took the time; 0: none does",
            notes:
                "A request that takes longer gets a line that says what took the time. Waiting of live readers does "
                + "not count. 0: none does."),
        SettingKey(
            "debug_timing", .flag(\.debugTiming), default: "false", unit: "true or false",
            reason: "answers carry Server-Timing and X-Request-Id; DEBUG_TIMING counts too",
            notes:
                "Answers carry Server-Timing (what took how long) and X-Request-Id. The variable DEBUG_TIMING counts "
                + "too, where DS_DEBUG_TIMING is missing."),
        SettingKey(
            "nginx_path", .executable(\.nginxPath), default: "nginx", unit: "executable",
            reason: "a name is searched in PATH, /usr/local/sbin, /usr/sbin and /sbin",
            notes: "A name is searched in PATH, /usr/local/sbin, /usr/sbin and /sbin; or give a path."),
        SettingKey(
            "nginx_templates", .optionalPath(\.nginxTemplates), default: "", unit: "directory",
            reason:
                "templates of nginx's configuration; empty: the nginx directory found beside the executable",
            notes: "Templates of nginx's configuration. Empty: the nginx directory found beside the "
                + "executable."),
        SettingKey(
            "nginx_group", .optionalName(\.nginxGroup), default: "", unit: "group",
            reason:
                "group of the nginx that you run, for a server that is not root but a member; empty: none",
            notes: "Group of the nginx that you run, such as www-data, for a server that is not root but a "
                + "member of that group: its sockets and segment files get the group, so that nginx reaches them. "
                + "Empty: none. As root www-data is taken anyway."),
        SettingKey(
            "segment_max_messages", .integer(\.segmentMaxMessages, 1...1_000_000), default: "1000",
            unit: "messages",
            reason:
                "messages (appends of a byte stream) in a stream's hot part at which it moves into a segment file"
        ),
        SettingKey(
            "segment_max_bytes", .bytes(\.segmentMaxBytes, 1024...(1 << 30)), default: "4MiB", unit: "bytes",
            reason: "the same in bytes, and the size up to which small segments are merged"),
        SettingKey(
            "retention_age", .integer(\.retentionAge, 0...9_007_199_254_740_991), default: "0",
            unit: "seconds",
            reason: "for how long content stays in streams created without Stream-Retention-Age; 0: for ever",
            notes: "For how long content stays in streams created without Stream-Retention-Age. 0: for ever. "
                + "Also for streams that are there already."),
        SettingKey(
            "retention_bytes", .bytes(\.retentionBytes, 0...(1 << 50)), default: "0", unit: "bytes",
            reason:
                "how many of the last bytes stay in streams created without Stream-Retention-Bytes; 0: all",
            notes: "How many of the last bytes stay in streams created without Stream-Retention-Bytes. 0: "
                + "all."),
        SettingKey(
            "retention_messages", .integer(\.retentionMessages, 0...9_007_199_254_740_991), default: "0",
            unit: "messages",
            reason:
                "how many of the last messages stay in streams created without Stream-Retention-Messages; 0: all",
            notes: "How many of the last messages (appends of a byte stream) stay in streams created without "
                + "Stream-Retention-Messages. 0: all."),
        SettingKey(
            "disk_high_water", .integer(\.diskHighWater, 1...100), default: "95", unit: "percent",
            reason: "use of the disk above which appends and creates get 507, before it is full; 100: off",
            notes: "Use of the disk, as df shows it, above which appends and creates get 507 while reads and "
                + "deletes go on. 100: off."),
        SettingKey(
            "auth", .authMode(\.auth), default: "none", unit: "mode",
            reason:
                "who decides who may do what: none (everything is open), project-jwt (tokens signed with a project's secret), "
                + "delegate (your own endpoint)"),
        SettingKey(
            "auth_delegate_url", .endpoint(\.authDelegateURL), default: "", unit: "URL without query",
            reason: "the endpoint that nginx asks about each request with auth delegate"),
        SettingKey(
            "allow_open", .flag(\.allowOpen), default: "false", unit: "true or false",
            reason: "lets a server with auth none listen where others can reach it"),
        SettingKey(
            "admin", .flag(\.admin), default: "true", unit: "true or false",
            reason: "whether nginx serves /admin/, the operator's page and interface, behind a password"),
        SettingKey(
            "admin_allow", .addresses(\.adminAllow), default: "127.0.0.1 ::1",
            unit: "addresses and networks separated by spaces",
            reason: "from where /admin/ may be reached, the password being asked for all the same"),
        SettingKey(
            "rate_per_address", .integer(\.ratePerAddress, 0...1_000_000), default: "0",
            unit: "requests a second",
            reason: "more from one client address gets 429, behind a burst of one second; 0: no limit",
            notes: "More from one client address gets 429, behind a burst of one second. 0: no limit."),
        SettingKey(
            "rate_per_project", .integer(\.ratePerProject, 0...1_000_000), default: "0",
            unit: "requests a second", reason: "the same for one project"),
        SettingKey(
            "live_per_address", .integer(\.livePerAddress, 0...1_000_000), default: "0", unit: "readers",
            reason: "long-polls and event streams at once from one client address; 0: no limit",
            notes: "Long-polls and event streams at once from one client address. 0: no limit."),
        SettingKey(
            "live_per_project", .integer(\.livePerProject, 0...1_000_000), default: "0", unit: "readers",
            reason: "the same for one project"),
        SettingKey(
            "metrics_project_labels", .flag(\.metricsProjectLabels), default: "false", unit: "true or false",
            reason:
                "shows streams and bytes of each registered project in the metrics, with its name as a label"),
        SettingKey(
            "sweep_interval", .seconds(\.sweepInterval, 0.1...86400), default: "30", unit: "seconds",
            reason: "time between two rounds of chores such as removing expired streams"),
    ]
}
