import StreamProtocol

/// What one reader has read, as long as nothing of it was changed: the same question then has the same answer, without a
/// transaction. Two of three instructions of a read at the tail were SQLite's. The header of the write-ahead log's index tells
/// that somebody has committed; a `CommitJournal`, what.
struct RecentReads {
    /// Which piece of a stream: a position, and the limit with which it was asked for.
    fileprivate struct Place: Hashable {
        let position: Int64
        let limit: Int
    }

    /// A stream and its pieces.
    final class Known {
        fileprivate(set) var state: StreamState
        fileprivate(set) var tail: Int64
        private var pieces: [Place: RememberedPiece] = [:]
        /// The one that was asked for last, mostly by many.
        private var latest: RememberedPiece?
        fileprivate var bytes = 0
        fileprivate var count: Int { pieces.count }

        fileprivate init(_ state: StreamState, _ tail: Int64) {
            self.state = state
            self.tail = tail
        }

        /// A piece of it.
        func piece(from position: Int64, limit: Int) -> RememberedPiece? {
            let place = Place(position: position, limit: limit)
            if let latest, latest.place == place { return latest }
            guard let found = pieces[place] else { return nil }
            latest = found
            return found
        }

        fileprivate func remember(_ piece: StreamPiece, from position: Int64, limit: Int) {
            let place = Place(position: position, limit: limit)
            let new = RememberedPiece(piece, place)
            let old = pieces.updateValue(new, forKey: place)
            bytes += piece.content.count - (old?.piece.content.count ?? 0)
            latest = new
        }
    }

    private let journal: CommitJournal?
    private var header = LogHeader()
    private var streams: [StreamName: Known] = [:]
    private var byID: [Int64: Known] = [:]
    private var pieces = 0
    private var bytes = 0

    /// Most of each, and bytes of content in all and in one piece.
    private static let streamLimit = 256
    private static let pieceLimit = 256
    private static let bytesLimit = 1 << 20
    private static let pieceBytes = 64 << 10

    /// - Parameter journal: that of this process's commits; nil: each commit may have changed everything.
    init(journal: CommitJournal?) { self.journal = journal }

    /// Forgets what may have been changed; call it before anything is looked up, or read to be remembered here.
    ///
    /// - Parameter index: the first page of the log's index; nil: nothing is remembered.
    mutating func catchUp(with index: UnsafeRawPointer?) {
        guard let index else { return }
        let current = LogHeader(at: index)
        guard current != header else { return }
        if !byID.isEmpty {
            if let changed = journal?.changes(from: header, to: current) {
                for id in changed { forget(id) }
            } else {
                forgetAll()
            }
        }
        header = current
    }

    /// A stream that has not ended.
    func stream(_ name: StreamName, now: Int64) -> Known? {
        guard let found = streams[name], !found.state.isExpired(at: now) else { return nil }
        return found
    }

    /// The very stream with this id, if it has not ended.
    func stream(_ id: Int64, now: Int64) -> Known? {
        guard let found = byID[id], !found.state.isExpired(at: now) else { return nil }
        return found
    }

    mutating func remember(_ state: StreamState, tail: Int64) {
        if let known = byID[state.id] {
            known.state = state
            known.tail = tail
            return
        }
        if byID.count >= RecentReads.streamLimit { forgetAll() }
        let known = Known(state, tail)
        byID[state.id] = known
        streams[state.name] = known
    }

    /// A piece of a stream that is remembered.
    mutating func remember(_ piece: StreamPiece, from position: Int64, limit: Int) {
        guard piece.content.count <= RecentReads.pieceBytes, let known = byID[piece.state.id] else { return }
        if pieces >= RecentReads.pieceLimit || bytes + piece.content.count > RecentReads.bytesLimit {
            return forgetAll()
        }
        (pieces, bytes) = (pieces - known.count, bytes - known.bytes)
        known.remember(piece, from: position, limit: limit)
        (pieces, bytes) = (pieces + known.count, bytes + known.bytes)
    }

    private mutating func forget(_ id: Int64) {
        guard let known = byID.removeValue(forKey: id) else { return }
        if streams[known.state.name] === known { streams[known.state.name] = nil }
        (pieces, bytes) = (pieces - known.count, bytes - known.bytes)
    }

    private mutating func forgetAll() {
        streams.removeAll(keepingCapacity: true)
        byID.removeAll(keepingCapacity: true)
        (pieces, bytes) = (0, 0)
    }
}

/// A piece of a stream that a reader remembers, with what was made of it.
public final class RememberedPiece {
    /// The piece.
    public let piece: StreamPiece
    /// What whoever reads made of the piece the last time, to be used again. It is forgotten with the piece.
    public var product: AnyObject?
    fileprivate let place: RecentReads.Place

    fileprivate init(_ piece: StreamPiece, _ place: RecentReads.Place) {
        self.piece = piece
        self.place = place
    }
}
