import StreamProtocol
import StreamStore

/// A store in a folder of its own, and what its hooks have seen.
public final class TestStore: Sendable {
    /// The folder that holds the files.
    public let folder: TemporaryFolder
    /// The files.
    public let files: StoreFiles
    /// The writer.
    public let committer: GroupCommitter
    private let record: Record

    /// What the hooks were told.
    private final class Record: Sendable {
        let commits = Condition<[[StreamChange]]>([])
        let failures = Condition<[String]>([])
        let groups = Condition<[GroupReport]>([])
        let refusals = Condition<[QueueReport]>([])
        /// Writes that wait, as was said last.
        let queued = Condition(0)
    }

    /// Opens the store, in a new folder unless one is given.
    ///
    /// - Parameter limits: how many writes may wait.
    public init(_ folder: TemporaryFolder? = nil, limits: QueueLimits = QueueLimits()) throws {
        let folder = try folder ?? TemporaryFolder()
        let record = Record()
        self.folder = folder
        self.record = record
        files = TestStore.files(in: folder.path)
        var hooks = GroupCommitter.Hooks(
            committed: { changes in record.commits.update { ($0.append(changes), (true, ())).1 } },
            poisoned: { error in
                record.failures.update { ($0.append("poisoned: \(error)"), (true, ())).1 }
            },
            failed: { error in record.failures.update { ($0.append("\(error)"), (true, ())).1 } })
        hooks.grouped = { group in record.groups.update { ($0.append(group), (true, ())).1 } }
        hooks.refused = { report in record.refusals.update { ($0.append(report), (true, ())).1 } }
        hooks.queued = { requests, _ in record.queued.update { ($0 = requests, (true, ())).1 } }
        committer = try GroupCommitter(files, limits: limits, hooks: hooks)
    }

    deinit { committer.stop() }

    /// The files of a store in a folder.
    public static func files(in path: String) -> StoreFiles {
        StoreFiles(folder: path)
    }

    /// The changes of each commit so far that changed something.
    public var commits: [[StreamChange]] { record.commits.update { (false, $0) } }

    /// Waits until there were `count` commits that changed something; false after a minute.
    public func waitForCommits(_ count: Int) -> Bool {
        record.commits.wait(timeout: 60_000) { $0.count >= count ? true : nil } ?? false
    }

    /// The failures reported so far.
    public var failures: [String] { record.failures.update { (false, $0) } }

    /// What each transaction was, so far.
    public var groups: [GroupReport] { record.groups.update { (false, $0) } }

    /// What waited when writes were refused.
    public var refusals: [QueueReport] { record.refusals.update { (false, $0) } }

    /// How many writes wait, as was said last.
    public var queued: Int { record.queued.update { (false, $0) } }

    /// A reader of the store.
    public func reader() throws(StoreError) -> StoreReader { try StoreReader(files) }

    /// A reader that hears of the commits of this store's committer.
    public func hearingReader() throws(StoreError) -> StoreReader {
        try StoreReader(files, journal: committer.journal)
    }
}

/// A clock that stands still until a test moves it.
public final class TestClock: Sendable {
    private let milliseconds: Condition<Int64>

    /// 2026-03-01T12:00:07Z.
    public static let start: Int64 = 1_772_366_407_000

    /// Begins at a time in milliseconds since 1970.
    public init(_ milliseconds: Int64 = TestClock.start) { self.milliseconds = Condition(milliseconds) }

    /// The time.
    public var now: Int64 { milliseconds.update { (false, $0) } }

    /// Moves the clock forward.
    public func advance(by more: Int64) { milliseconds.update { ($0 += more, (false, ())).1 } }
}

/// Collects what callbacks deliver on other threads, for a test that waits for it.
public final class Mailbox<Letter: Sendable>: Sendable {
    private let letters = Condition<[Letter]>([])

    /// Begins empty.
    public init() {}

    /// Adds a letter.
    public func deliver(_ letter: Letter) { letters.update { ($0.append(letter), (true, ())).1 } }

    /// Waits until `count` letters are there and gives all; nil after ten seconds without.
    public func collect(_ count: Int) -> [Letter]? {
        letters.wait(timeout: 10_000) { $0.count >= count ? $0 : nil }
    }

    /// What is there now.
    public var received: [Letter] { letters.update { (false, $0) } }
}
