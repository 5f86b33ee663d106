/// What only ever grows, over all processes and their restarts.
public enum Counter: Int, CaseIterable, Sendable {
    case appends, appendedMessages, appendedBytes
    case readBytesWorker, readBytesLive, readBytesSegments
    case streamsCreated, streamsDeleted, streamsExpired
    case refusedBusy, refusedNoSpace
    case rotations, merges, purgedRecords, removedFiles, checkpoints, storeFailures
    case cacheHits, cacheMisses, cacheExpired, cacheRevalidated, cacheStale, cacheUpdating
    case wakeUps, readersCutOff
    case startsSupervisor, startsWorker, startsLive

    /// How it is exposed.
    var row: MetricRow {
        switch self {
        case .appends:
            MetricRow("appends_total", "Appends that were stored, a batch of messages being one.")
        case .appendedMessages:
            MetricRow("appended_messages_total", "Messages that were stored; of byte streams, appends.")
        case .appendedBytes: MetricRow("appended_bytes_total", "Bytes of content that were stored.")
        case .readBytesWorker: MetricRow(Self.readBytes, Self.readBytesHelp, ("source", "worker"))
        case .readBytesLive: MetricRow(Self.readBytes, Self.readBytesHelp, ("source", "live"))
        case .readBytesSegments: MetricRow(Self.readBytes, Self.readBytesHelp, ("source", "segment_file"))
        case .streamsCreated: MetricRow("streams_created_total", "Streams that were made, forks too.")
        case .streamsDeleted:
            MetricRow(
                "streams_removed_total", "Streams that came to their end.", ("reason", "deleted"))
        case .streamsExpired:
            MetricRow("streams_removed_total", "Streams that came to their end.", ("reason", "expired"))
        case .refusedBusy: MetricRow(Self.refused, Self.refusedHelp, ("reason", "busy"))
        case .refusedNoSpace: MetricRow(Self.refused, Self.refusedHelp, ("reason", "no_space"))
        case .rotations: MetricRow("rotations_total", "Segments that were made of hot records.")
        case .merges: MetricRow("merges_total", "Segments that were made of smaller ones.")
        case .purgedRecords:
            MetricRow(
                "purged_records_total", "Records removed from the hot log behind their streams or segments.")
        case .removedFiles: MetricRow("segment_files_removed_total", "Segment files that were removed.")
        case .checkpoints: MetricRow("checkpoints_total", "Copies of the write-ahead log into the database.")
        case .storeFailures: MetricRow("store_failures_total", "Failures of the store that the log tells of.")
        case .cacheHits: MetricRow(Self.cache, Self.cacheHelp, ("result", "hit"))
        case .cacheMisses: MetricRow(Self.cache, Self.cacheHelp, ("result", "miss"))
        case .cacheExpired: MetricRow(Self.cache, Self.cacheHelp, ("result", "expired"))
        case .cacheRevalidated: MetricRow(Self.cache, Self.cacheHelp, ("result", "revalidated"))
        case .cacheStale: MetricRow(Self.cache, Self.cacheHelp, ("result", "stale"))
        case .cacheUpdating: MetricRow(Self.cache, Self.cacheHelp, ("result", "updating"))
        case .wakeUps: MetricRow("wake_ups_total", "Changed streams that the live process has heard of.")
        case .readersCutOff:
            MetricRow(
                "readers_cut_off_total", "Event streams closed because their readers took nothing for 30 s.")
        case .startsSupervisor: MetricRow(Self.starts, Self.startsHelp, ("role", "supervisor"))
        case .startsWorker: MetricRow(Self.starts, Self.startsHelp, ("role", "worker"))
        case .startsLive: MetricRow(Self.starts, Self.startsHelp, ("role", "live"))
        }
    }

    private static let readBytes = "read_bytes_total"
    private static let readBytesHelp =
        "Bytes of content sent to readers by the server itself; not what nginx answers from its cache."
    private static let refused = "writes_refused_total"
    private static let refusedHelp = "Writes answered 503 (busy) or 507 (no_space) instead of being stored."
    private static let cache = "cache_results_total"
    private static let cacheHelp = "Reads that nginx's cache may answer, by what it did."
    private static let starts = "process_starts_total"
    private static let startsHelp = "Starts of processes."
}

/// What goes up and down.
public enum Gauge: Int, CaseIterable, Sendable {
    // Of each process, added up when shown.
    case commitQueueRequests, commitQueueBytes, longPolls, eventStreams, watchedStreams, expectedWorkers,
        expectedLive
    // Of the server; the process that does the chores samples them.
    case streams, projects, hotBytes, hotMessages, databaseBytes, walBytes, walUsedBytes, coldBytes, segments,
        purgeBacklog
    case diskTotal, diskFree, storeSampledAt

    /// Whether each process has its own.
    public var isOfProcess: Bool { rawValue <= Gauge.expectedLive.rawValue }

    /// How it is exposed; nil: not at all, or by other means.
    var row: MetricRow? {
        switch self {
        case .commitQueueRequests: MetricRow("commit_queue_requests", "Writes that wait to be committed.")
        case .commitQueueBytes: MetricRow("commit_queue_bytes", "Bytes of content that wait to be committed.")
        case .longPolls: MetricRow(Self.readers, Self.readersHelp, ("kind", "long_poll"))
        case .eventStreams: MetricRow(Self.readers, Self.readersHelp, ("kind", "event_stream"))
        case .watchedStreams: MetricRow("watched_streams", "Streams for which somebody waits.")
        case .expectedWorkers, .expectedLive: nil
        case .streams: MetricRow("streams", "Streams that are there.")
        case .projects: MetricRow("projects", "Projects that are registered.")
        case .hotBytes: MetricRow("hot_bytes", "Bytes of content in the hot log.")
        case .hotMessages: MetricRow("hot_messages", "Messages in the hot log; of byte streams, appends.")
        case .databaseBytes: MetricRow("database_bytes", "Size of the file hot.sqlite.")
        case .walBytes: MetricRow("wal_bytes", "Size of the write-ahead log's file.")
        case .walUsedBytes:
            MetricRow(
                "wal_used_bytes", "Bytes in use in the write-ahead log at its last copy into the database.")
        case .coldBytes: MetricRow("cold_bytes", "Bytes of segment files.")
        case .segments: MetricRow("segments", "Segment files that belong to streams.")
        case .purgeBacklog:
            MetricRow("purge_backlog", "Streams and segments whose records are still to be removed.")
        case .diskTotal: MetricRow("disk_total_bytes", "Size of the data directory's file system.")
        case .diskFree: MetricRow("disk_free_bytes", "Free space of it for ordinary users.")
        case .storeSampledAt:
            MetricRow(
                "store_sampled_timestamp_seconds", "When sizes and numbers of the store were counted last.")
        }
    }

    private static let readers = "live_readers"
    private static let readersHelp = "Readers that wait for data or follow events."
}

/// How values are spread.
public enum Histogram: Int, CaseIterable, Sendable {
    case groupRequests, commitQueue, writeLock, commit, wakeLatency

    /// How it is exposed.
    var row: MetricRow {
        switch self {
        case .groupRequests: MetricRow("commit_group_requests", "Writes in one transaction.")
        case .commitQueue:
            MetricRow(
                "commit_queue_seconds", "How long the oldest write of a transaction waited for it to begin.")
        case .writeLock:
            MetricRow(
                "write_lock_seconds", "How long a transaction waited for other processes' transactions.")
        case .commit:
            MetricRow("commit_seconds", "How long the commit of a transaction took, the fsync above all.")
        case .wakeLatency:
            MetricRow("wake_latency_seconds", "From a commit to the live process hearing of it.")
        }
    }

    /// Whether values are nanoseconds, shown as seconds.
    var isDuration: Bool { self != .groupRequests }

    /// Upper ends of the buckets, ascending; what is beyond has one more.
    var bounds: [UInt64] {
        isDuration ? Histogram.durations : Histogram.numbers
    }

    /// Of all histograms of numbers.
    static let numbers: [UInt64] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024]
    /// Of all histograms of durations, in nanoseconds: from 25 µs to 30 s.
    static let durations: [UInt64] = [
        25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000,
        50_000_000, 100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000,
        10_000_000_000, 30_000_000_000,
    ]
    /// Numbers that a histogram takes: the buckets, the one beyond, the sum, and some to spare.
    static let width = 24
    /// Where the sum is.
    static let sumIndex = width - 1
}

/// How a metric is shown: its name without the prefix, what it is, and what tells it from others of its name.
struct MetricRow {
    let name: String
    let help: String
    let label: (name: String, value: String)?

    init(_ name: String, _ help: String, _ label: (String, String)? = nil) {
        self.name = name
        self.help = help
        self.label = label.map { (name: $0.0, value: $0.1) }
    }
}
