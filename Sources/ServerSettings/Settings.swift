/// Every setting of the server, resolved and checked.
///
/// Load them with ``load(arguments:environment:)``; ``SettingKey/all`` lists the keys, their defaults and reasons.
public struct Settings: Sendable, Equatable {
    /// Where nginx listens.
    public internal(set) var listen: ListenAddress
    /// Absolute path of the directory that holds everything the server stores.
    public internal(set) var dataDirectory: String
    /// Number of worker processes, 1...64.
    public internal(set) var workers: Int
    /// Reader threads per worker process, 1...64.
    public internal(set) var workerThreads: Int
    /// Most writes of a worker that wait, 1...1,000,000.
    public internal(set) var queueRequests: Int
    /// Most bytes of writes that wait, 1...16 GiB.
    public internal(set) var queueBytes: Int
    /// Longest that a write may be expected to wait, 1...3,600,000 milliseconds.
    public internal(set) var queueMilliseconds: Int
    /// Seconds that a long-poll waits for data, 0.05...3600.
    public internal(set) var longPollTimeout: Double
    /// Seconds after which an SSE response ends so that the client reconnects, 0.1...86400.
    public internal(set) var sseLifetime: Double
    /// Seconds between comment lines on a quiet SSE response, 0.1...3600.
    public internal(set) var sseKeepAlive: Double
    /// Seconds over which live readers reconnect at a reload, 0...600.
    public internal(set) var reloadSpread: Double
    /// Largest request body in bytes, 1...1 GiB.
    public internal(set) var maxBodyBytes: Int
    /// Size in bytes that a catch-up read aims at, 64 KiB...64 MiB.
    public internal(set) var readChunkBytes: Int
    /// `http://` or `https://` origin that clients see, without a trailing slash; nil: taken from the request.
    public internal(set) var publicURL: String?
    /// Most bytes that nginx's cache keeps on disk, 1 MiB...16 TiB.
    public internal(set) var cacheSize: Int
    /// The least severe level that is logged.
    public internal(set) var logLevel: LogLevel
    /// What the lines of the processes look like.
    public internal(set) var logFormat: LogFormat
    /// Where nginx writes a line for each request.
    public internal(set) var requestLog: RequestLog
    /// What those lines look like.
    public internal(set) var requestLogFormat: LogFormat
    /// Milliseconds from which a request gets a line that says what took the time, 0...3,600,000; 0: none does.
    public internal(set) var slowRequestMilliseconds: Int
    /// Whether answers say what took how long.
    public internal(set) var debugTiming: Bool
    /// Name of the nginx executable, searched in PATH and the sbin directories, or its path.
    public internal(set) var nginxPath: String
    /// Absolute path of the directory of nginx templates; nil: found beside the executable.
    public internal(set) var nginxTemplates: String?
    /// The group of an nginx that another user runs, which a server that is not root gives its sockets and files to; nil: none.
    public internal(set) var nginxGroup: String?
    /// Messages in the hot part of a stream at which it moves into a segment file, 1...1,000,000.
    public internal(set) var segmentMaxMessages: Int
    /// Bytes in the hot part of a stream at which it moves into a segment file, 1 KiB...1 GiB.
    public internal(set) var segmentMaxBytes: Int
    /// Seconds for which content stays in streams that ask for nothing else; 0: for ever.
    public internal(set) var retentionAge: Int
    /// Bytes that stay at the end of streams that ask for nothing else; 0: all.
    public internal(set) var retentionBytes: Int
    /// Messages that stay at the end of streams that ask for nothing else; 0: all.
    public internal(set) var retentionMessages: Int
    /// Percent of the disk in use above which appends are refused, 1...100; 100: never.
    public internal(set) var diskHighWater: Int
    /// Who decides who may do what.
    public internal(set) var auth: AuthMode
    /// The endpoint that nginx asks with ``AuthMode/delegate``.
    public internal(set) var authDelegateURL: String?
    /// Whether everybody may reach an open server.
    public internal(set) var allowOpen: Bool
    /// Whether nginx serves /admin/.
    public internal(set) var admin: Bool
    /// From where /admin/ may be reached.
    public internal(set) var adminAllow: AddressList
    /// Requests a second from one client address; 0: no limit.
    public internal(set) var ratePerAddress: Int
    /// Requests a second to one project; 0: no limit.
    public internal(set) var ratePerProject: Int
    /// Concurrent live readers from one client address; 0: no limit.
    public internal(set) var livePerAddress: Int
    /// Concurrent live readers of one project; 0: no limit.
    public internal(set) var livePerProject: Int
    /// Whether metrics name projects.
    public internal(set) var metricsProjectLabels: Bool
    /// Seconds between two rounds of chores such as expiry, 0.1...86400.
    public internal(set) var sweepInterval: Double

    /// The default of every key, read from ``SettingKey/all``.
    ///
    /// - Throws: ``SettingsError`` when a default of the table is malformed, which a test rules out.
    public static func defaults() throws(SettingsError) -> Settings {
        var problems: [SettingsError] = []
        let settings = Settings.resolved(from: [], &problems)
        if let first = problems.first { throw first }
        return settings
    }

    /// Starts with neutral values; `resolved(from:)` gives every field its value from the table or a source.
    init(neutralListen: ListenAddress) {
        listen = neutralListen
        dataDirectory = "/"
        workers = 0
        workerThreads = 0
        queueRequests = 0
        queueBytes = 0
        queueMilliseconds = 0
        longPollTimeout = 0
        sseLifetime = 0
        sseKeepAlive = 0
        reloadSpread = 0
        maxBodyBytes = 0
        readChunkBytes = 0
        cacheSize = 0
        logLevel = .info
        logFormat = .text
        requestLog = .off
        requestLogFormat = .json
        slowRequestMilliseconds = 0
        debugTiming = false
        nginxPath = ""
        segmentMaxMessages = 0
        segmentMaxBytes = 0
        retentionAge = 0
        retentionBytes = 0
        retentionMessages = 0
        diskHighWater = 0
        sweepInterval = 0
        auth = .none
        allowOpen = false
        admin = false
        adminAllow = .nobody
        ratePerAddress = 0
        ratePerProject = 0
        livePerAddress = 0
        livePerProject = 0
        metricsProjectLabels = false
    }

    /// Where the parts of ``dataDirectory`` are.
    public var layout: DataDirectoryLayout { DataDirectoryLayout(dataDirectory: dataDirectory) }

    /// All settings as `DS_*` variables: a process started with them needs no file and no flags, and loads equal
    /// settings. Optional settings without a value are left out.
    public func environment() -> [String: String] {
        var result: [String: String] = [:]
        for key in SettingKey.all {
            let text = key.value.text(self)
            if !text.isEmpty { result[key.environmentName] = text }
        }
        return result
    }
}
