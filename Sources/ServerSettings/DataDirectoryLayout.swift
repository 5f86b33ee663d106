/// Where the parts of a data directory are. A function of the path alone, so that all processes agree.
public struct DataDirectoryLayout: Sendable, Equatable {
    /// The absolute path of the data directory.
    public let dataDirectory: String

    /// The longest path that fits a Unix socket address: `sun_path` has 108 bytes, the last of them NUL.
    public static let longestSocketPath = 107

    private static let socketNames = ["worker.sock", "live.sock", "wake.sock"]

    /// - Parameter dataDirectory: an absolute path.
    public init(dataDirectory: String) {
        self.dataDirectory = dataDirectory
    }

    /// The immutable segments of older data.
    public var segmentsDirectory: String { dataDirectory + "/segments" }
    /// Locked by the supervisor: one server per data directory.
    public var lockFile: String { dataDirectory + "/lock" }
    /// nginx's rendered configuration and temporary files.
    public var nginxDirectory: String { dataDirectory + "/nginx" }
    /// The number of nginx's master process, where nginx is ours.
    public var nginxPID: String { nginxDirectory + "/nginx.pid" }
    /// nginx's cache of catch-up reads.
    public var cacheDirectory: String { nginxDirectory + "/cache" }
    /// What tells the pool and the live process that a request came through nginx's protected location.
    public var adminKey: String { dataDirectory + "/admin.key" }
    /// The operator's password for /admin/.
    public var adminPassword: String { dataDirectory + "/admin-password" }
    /// Its hash, for nginx.
    public var adminPasswordHash: String { nginxDirectory + "/admin.htpasswd" }
    /// The files of the page at /admin/, where nginx's workers can read them.
    public var adminPage: String { nginxDirectory + "/admin" }

    /// What is for memory only, never for a disk: a private directory of its own in the system's tmpfs.
    public var memoryDirectory: String { "/dev/shm/durable-streams-" + Self.fingerprint(of: dataDirectory) }
    /// nginx's memory of who may read what, for a second.
    public var verdictDirectory: String { memoryDirectory + "/verdicts" }

    /// The directory of the sockets: `run` in the data directory, or a private directory of its own under `/tmp`
    /// when the data directory's path is too long for a socket address.
    public var runDirectory: String {
        let preferred = dataDirectory + "/run"
        let longest = Self.socketNames.map(\.utf8.count).max() ?? 0
        guard preferred.utf8.count + 1 + longest > Self.longestSocketPath else { return preferred }
        return "/tmp/durable-streams-" + Self.fingerprint(of: dataDirectory)
    }

    /// Where workers accept FastCGI connections.
    public var workerSocket: String { runDirectory + "/worker.sock" }
    /// Where the live process accepts HTTP connections.
    public var liveSocket: String { runDirectory + "/live.sock" }
    /// Whether anybody waits in the live process, as a number that all processes map.
    public var liveInterest: String { runDirectory + "/live.interest" }
    /// What all processes count, in memory that they share.
    public var telemetry: String { runDirectory + "/telemetry" }
    /// What nginx's cache did, a letter and a line end for each read; emptied now and then.
    public var cacheTally: String { runDirectory + "/cache.tally" }
    /// How the server was in the last hour and day.
    public var history: String { dataDirectory + "/history" }
    /// What became of reloads of a server, or of a pool alone.
    public var reloadState: String { runDirectory + "/reload" }
    /// What became of reloads of a live process alone.
    public var liveReloadState: String { runDirectory + "/reload.live" }
    /// Where workers tell the live process what has changed.
    public var wakeSocket: String { runDirectory + "/wake.sock" }

    /// FNV-1a with 64 bits in hexadecimal. It only has to be the same in every process, which `Hasher` is not.
    private static func fingerprint(of text: String) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
