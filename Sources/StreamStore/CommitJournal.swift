import Synchronization

/// The header of the write-ahead log's index (https://sqlite.org/walformat.html, section 2.2): a counter of commits, the
/// length of the log, salts and checksums, so that it never comes back as it was.
struct LogHeader: Equatable, Sendable {
    // Fields, since comparing and copying them costs next to nothing.
    private var first: UInt64 = 0
    private var second: UInt64 = 0
    private var third: UInt64 = 0
    private var fourth: UInt64 = 0
    private var fifth: UInt64 = 0
    private var sixth: UInt64 = 0

    /// None that there ever is.
    init() {}

    /// What stands there now. While another process writes one it may be a mixture, which equals none that was whole.
    ///
    /// - Parameter index: the first page of the index.
    init(at index: UnsafeRawPointer) { self = index.loadUnaligned(as: LogHeader.self) }

    /// How many commits there were (`iChange`).
    var commits: UInt32 { UInt32(truncatingIfNeeded: second) }
}

/// Which streams the last commits of this process have changed, so that its readers need not forget all others.
///
/// A reader knows the header of the log's index at which what it remembers was right, and the one that stands there now. What
/// lies between the two was this process's doing alone if its own commits lead from the one to the other without a gap:
///
/// - An entry says from which header to which its commit has led. The first is read while the transaction holds SQLite's
///   lock for writing, so nobody else commits before it. The second is read behind the commit, and counts only if the
///   counter of commits is one higher, so nobody else has committed since then either.
/// - Entries are kept as long as each begins with the header at which the one before ended. Whatever else changes the header
///   (a commit of another process or connection, the log beginning anew between two commits, its recovery) makes a gap; the
///   journal begins anew there, and a reader from before it finds no way and forgets everything.
/// - Only a commit of which all that it changed is known gets an entry. Any other is such a gap.
///
/// What a reader remembers may be newer than the header with which it goes, since that is looked at first. If its stream has
/// changed in between, it is among what is forgotten; if it has not, it is the same at both.
public final class CommitJournal: Sendable {
    private struct Entry {
        let header: LogHeader
        /// Mostly there is no more than one, which then costs no allocation.
        var stream: Int64 = 0
        var others: [Int64] = []
    }

    /// Entries that are kept: a reader who has not looked for longer reads anew.
    private static let limit = 32

    private let entries = Mutex<[Entry]>([])

    /// Begins empty.
    public init() {}

    /// Notes a commit.
    ///
    /// - Parameters:
    ///   - before: the header in its transaction.
    ///   - after: the header behind it.
    ///   - changed: the streams that it has changed, with those in `touched`.
    func note(
        from before: LogHeader, to after: LogHeader, _ changed: [StreamChange], touched: [Int64]
    ) {
        guard after.commits == before.commits &+ 1 else { return }
        var entry = Entry(header: after)
        if changed.count == 1, touched.isEmpty {
            entry.stream = changed[0].id
        } else {
            entry.others = changed.map(\.id) + touched
        }
        entries.withLock { entries in
            if entries.last?.header != before {
                entries.removeAll(keepingCapacity: true)
                entries.append(Entry(header: before))
            } else if entries.count >= CommitJournal.limit {
                entries.removeFirst(CommitJournal.limit / 2)
            }
            entries.append(entry)
        }
    }

    /// The streams that were changed between two headers, some perhaps more than once; nil: that is not known.
    func changes(from before: LogHeader, to after: LogHeader) -> [Int64]? {
        entries.withLock { entries in
            guard entries.last?.header == after else { return nil }
            var streams: [Int64] = []
            for entry in entries.reversed() {
                if entry.header == before { return streams }
                streams.append(entry.stream)
                streams += entry.others
            }
            return nil
        }
    }
}

/// What a session notes of the transaction in hand for the journal.
struct CommitNotes {
    /// Streams of which it has changed nothing but the deadline.
    var touched: [Int64] = []
    /// Whether it has changed more than the content of streams that have some now, and their deadlines.
    var changesMore = false
    /// The first page of the log's index, mapped while the session's connection is open.
    private let index: UnsafeRawPointer?
    private var before = LogHeader()
    private var after = LogHeader()

    init(index: UnsafeRawPointer?) { self.index = index }

    /// A transaction holds SQLite's lock for writing now.
    mutating func begin() {
        touched.removeAll(keepingCapacity: true)
        changesMore = false
        if let index { before = LogHeader(at: index) }
    }

    /// It is committed.
    mutating func end() {
        if let index { after = LogHeader(at: index) }
    }

    /// Tells the readers of this process.
    ///
    /// - Parameter changed: the streams that it has changed, besides those that it has touched.
    func write(to journal: CommitJournal, _ changed: [StreamChange]) {
        // One that changed nothing leaves the header as it was.
        guard index != nil, !changesMore, after != before else { return }
        journal.note(from: before, to: after, changed, touched: touched)
    }
}
