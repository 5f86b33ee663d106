/// The identity and sequence number that an idempotent producer puts on a request (PROTOCOL section 7).
public struct ProducerTuple: Equatable, Hashable, Sendable {
    /// `Producer-Id`, 1…256 bytes.
    public var id: String
    /// `Producer-Epoch`, 0…2^53 − 1.
    public var epoch: Int64
    /// `Producer-Seq`, 0…2^53 − 1.
    public var sequence: Int64

    /// Joins the three header values.
    public init(id: String, epoch: Int64, sequence: Int64) {
        self.id = id
        self.epoch = epoch
        self.sequence = sequence
    }
}

/// What a stream remembers of one producer.
public struct ProducerState: Equatable, Sendable {
    /// The epoch last accepted.
    public var epoch: Int64
    /// The highest sequence number accepted in that epoch.
    public var sequence: Int64

    /// Joins an epoch and a sequence number.
    public init(epoch: Int64, sequence: Int64) {
        self.epoch = epoch
        self.sequence = sequence
    }
}

/// What becomes of a producer's request (PROTOCOL section 7.2).
public enum ProducerVerdict: Equatable, Sendable {
    /// Next in sequence, or the first of a new epoch.
    case accept
    /// Of an older epoch than the stored one, which the answer names.
    case stale(epoch: Int64)
    /// A new epoch that doesn't begin with sequence number 0.
    case newEpochNotAtZero
    /// Accepted before; the answer names the highest sequence number accepted.
    case duplicate(highest: Int64)
    /// Ahead of what is acceptable next.
    case gap(expected: Int64)

    /// Judges a tuple by the state stored for its id; nil when the id is unknown to the stream.
    public init(stored: ProducerState?, request: ProducerTuple) {
        guard let stored else {
            self = request.sequence == 0 ? .accept : .gap(expected: 0)
            return
        }
        if request.epoch < stored.epoch {
            self = .stale(epoch: stored.epoch)
        } else if request.epoch > stored.epoch {
            self = request.sequence == 0 ? .accept : .newEpochNotAtZero
        } else if request.sequence <= stored.sequence {
            self = .duplicate(highest: stored.sequence)
        } else if request.sequence == stored.sequence + 1 {
            self = .accept
        } else {
            self = .gap(expected: stored.sequence + 1)
        }
    }
}
