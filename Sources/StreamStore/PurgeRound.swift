/// Which queued records a round of the purge may take.
public enum RotatedRecords: Sendable {
    /// Only those of streams that are gone.
    case stay
    /// Also those that segments have taken over, unless streams wait for rotation.
    case goWhenNoneRotates
    /// All.
    case go
}

/// What a step of the purge has found.
public struct PurgeStep: Sendable {
    /// Whether there is more that can be removed now.
    public var goesOn = false
    /// Whether records that segments have taken over wait until no stream waits for rotation.
    public var isHeldBack = false
    /// Whether the round took what segments have taken over.
    public var takesRotated = false
    /// Records that the round which has just ended has removed.
    public var endedWith: Int?
}

/// Some streams whose records are removed together, in the order of the records' ids.
///
/// Streams that are written in turn have their records side by side on the same pages. One stream after the other, a page
/// was written once for each of them. So the rows of the index stay until the records that they name are gone: between
/// the steps some lead to nothing, all of them before the position that the queue `purge` has for their stream.
///
/// It lies in memory alone. Whoever begins anew behind a crash finds the rows of the index, and what is gone already costs
/// little. A value, so that a rollback has the one from before the step.
struct PurgeRound {
    /// Its part of the queue, and how far it is.
    struct Stream {
        let id: Int64
        /// Records before this position go.
        fileprivate(set) var below: Int64
        /// Queue rows that it has, by `through`.
        fileprivate(set) var queued: [Int64] = []
        /// Of the present run of the index, what is still to go.
        var entries: ArraySlice<IndexRun.Entry> = []
        /// Of the present run, what stays, and the position behind it.
        var rest: (run: IndexRun, end: Int64)?
        /// Where the runs not yet looked at begin.
        var next = Int64.min
        /// Rows of the index, all before `next`, whose records are gone.
        var usedRows = 0

        init(_ id: Int64, below: Int64) {
            self.id = id
            self.below = below
        }

        /// Whether the stream itself is gone, and not only what segments have taken over.
        var isGone: Bool { below == .max }
    }

    let takesRotated: Bool
    var streams: [Stream] = []
    /// Streams up to this one have their first records in the order.
    var begun = 0
    /// Streams, by their place in `streams`, without records that go.
    var finishing: [Int] = []
    /// Records removed so far.
    var removed = 0
    /// The next record of each stream; the first of all is the last here.
    private var order: [(record: Int64, stream: Int)] = []
    /// Where each stream is in `streams`.
    private var places: [Int64: Int] = [:]

    /// Streams of a round at most; each has a run of the index in memory, a kilobyte.
    static let limit = 512

    /// - Parameter takesRotated: whether what segments have taken over goes too.
    init(takesRotated: Bool) { self.takesRotated = takesRotated }

    /// Takes in a row of the queue; two of one stream count as one.
    mutating func queue(_ stream: Int64, through: Int64, below: Int64) {
        let place = places[stream] ?? streams.count
        if place == streams.count {
            places[stream] = place
            streams.append(Stream(stream, below: below))
        }
        streams[place].below = max(streams[place].below, below)
        streams[place].queued.append(through)
    }

    /// Enters the next record of a stream into the order; behind the last one the stream is to be finished.
    mutating func advance(_ stream: Int) {
        guard let record = streams[stream].entries.first?.record else { return finishing.append(stream) }
        var (low, high) = (0, order.count)
        while low < high {
            let middle = (low + high) / 2
            if order[middle].record > record { low = middle + 1 } else { high = middle }
        }
        order.insert((record, stream), at: low)
    }

    /// The first record of all, taken out; nil: there is none.
    mutating func next() -> (record: Int64, stream: Int)? {
        guard let first = order.popLast() else { return nil }
        streams[first.stream].entries.removeFirst()
        removed += 1
        return first
    }
}
