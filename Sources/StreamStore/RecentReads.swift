import CSQLite
import Glibc
import StreamProtocol

/// What one reader has read since the last commit of anybody: as long as nothing was committed, the same question has the
/// same answer, without a transaction. Two of three instructions of a read at the tail were SQLite's.
struct RecentReads {
    /// Which piece: a position of a stream, and the limit with which it was asked for.
    private struct Place: Hashable {
        let stream: Int64
        let position: Int64
        let limit: Int
    }

    /// The header of the write-ahead log's index (https://sqlite.org/walformat.html, section 2.2): a counter of commits, the
    /// length of the log and its checksum, so that it never comes back as it was.
    private typealias Header = InlineArray<6, UInt64>
    private static let headerBytes = 48

    private var header = Header(repeating: 0)
    private var streams: [StreamName: (state: StreamState, tail: Int64)] = [:]
    private var pieces: [Place: StreamPiece] = [:]
    private var bytes = 0

    /// Most of each, and bytes of content in all and in one piece.
    private static let streamLimit = 256
    private static let pieceLimit = 256
    private static let bytesLimit = 1 << 20
    private static let pieceBytes = 64 << 10

    /// Forgets everything if something was committed; call it before anything is looked up, or read to be remembered here.
    ///
    /// A header that another process is just writing equals none that was whole, and so does one of which only a part was
    /// seen: whatever is remembered with it is never found.
    ///
    /// - Parameter index: the first page of the index; nil: nothing is remembered.
    mutating func catchUp(with index: UnsafeRawPointer?) {
        guard let index else { return }
        let isSame = withUnsafeBytes(of: &header) { known in
            known.baseAddress.map { memcmp($0, index, RecentReads.headerBytes) == 0 } ?? false
        }
        guard !isSame else { return }
        withUnsafeMutableBytes(of: &header) { known in
            known.copyMemory(from: UnsafeRawBufferPointer(start: index, count: RecentReads.headerBytes))
        }
        if !streams.isEmpty { streams.removeAll(keepingCapacity: true) }
        if !pieces.isEmpty { pieces.removeAll(keepingCapacity: true) }
        bytes = 0
    }

    /// A stream that has not ended.
    func stream(_ name: StreamName, now: Int64) -> (state: StreamState, tail: Int64)? {
        guard let found = streams[name], !found.state.isExpired(at: now) else { return nil }
        return found
    }

    /// A piece of a stream.
    func piece(of stream: Int64, from position: Int64, limit: Int) -> StreamPiece? {
        pieces[Place(stream: stream, position: position, limit: limit)]
    }

    mutating func remember(_ state: StreamState, tail: Int64) {
        if streams.count >= RecentReads.streamLimit { streams.removeAll(keepingCapacity: true) }
        streams[state.name] = (state, tail)
    }

    mutating func remember(_ piece: StreamPiece, from position: Int64, limit: Int) {
        guard piece.content.count <= RecentReads.pieceBytes else { return }
        if pieces.count >= RecentReads.pieceLimit || bytes + piece.content.count > RecentReads.bytesLimit {
            pieces.removeAll(keepingCapacity: true)
            bytes = 0
        }
        bytes += piece.content.count
        pieces[Place(stream: piece.state.id, position: position, limit: limit)] = piece
    }
}
