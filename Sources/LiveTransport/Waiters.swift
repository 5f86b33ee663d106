import NIOCore
import StreamService
import StreamStore

/// A long-poll that waits for its stream to change. Lives on one event loop.
final class PollWaiter {
    let poll: LongPoll
    /// When it is answered whatever happens.
    var endsAt = NIODeadline.distantFuture
    /// Its own timer for that; nil: it is in the queue.
    var timeout: Scheduled<Void>?
    /// Its place in the queue.
    var isQueued = false
    var next: PollWaiter?
    unowned var previous: PollWaiter?
    private let respond: (ServiceResponse) -> Void

    init(_ poll: LongPoll, respond: @escaping (ServiceResponse) -> Void) {
        self.poll = poll
        self.respond = respond
    }

    func finish(_ response: ServiceResponse) { respond(response) }
}

/// A reader of server-sent events. Lives on one event loop.
final class EventSubscriber {
    enum Phase {
        /// At the tail: the next change is for it.
        case idle
        /// The next piece is being read for it alone.
        case reading
        /// Its socket is full; it is read for again once that has drained.
        case blocked
        /// Nothing more is sent.
        case ended
    }

    var stream: EventStream
    var channel: any Channel { socket.channel }
    var phase = Phase.reading
    /// Whether the stream changed while a piece was being read.
    var missedChange = false
    /// Whether the first control event is still to be sent.
    var isFirst = true
    var lastWrite: NIODeadline
    var blockedSince: NIODeadline?
    var endsAt: NIODeadline
    let requestID: String?
    private let socket: DirectSocket
    /// Whether its peer took longer than others for what it was sent.
    var isSlow = false
    /// Among the readers of its stream; -1: not there.
    var place = -1
    /// When it is looked at next (`Timetable`), and which of those of that moment it is; -1: never.
    var moment: Int32 = -1
    var turn: Int32 = -1

    init(
        _ stream: EventStream, socket: DirectSocket, requestID: String?, now: NIODeadline, endsAt: NIODeadline
    ) {
        self.stream = stream
        self.socket = socket
        self.requestID = requestID
        lastWrite = now
        self.endsAt = endsAt
    }

    /// Sends bytes behind all that was sent before.
    func send(_ bytes: ByteBuffer) { socket.send(bytes) }

    /// Whether its peer has not taken yet what was sent.
    var hasUnreadBytes: Bool { socket.hasUnreadBytes }
}

/// Everybody who waits for one stream.
final class Watch {
    var state: StreamState
    var polls: [ObjectIdentifier: PollWaiter] = [:]
    /// In no order; each knows its place.
    private(set) var subscribers: [EventSubscriber] = []
    /// The place of the reader that is looked at next, and how many are still to be looked at since the last change.
    var next = 0
    var remaining = 0
    /// Whether it is in the queue of the fan-out.
    var isQueued = false
    /// The last change, if a wake-up has told all of it, as long as readers are still to get it.
    var appended: Appended?

    init(_ state: StreamState) { self.state = state }

    var isEmpty: Bool { polls.isEmpty && subscribers.isEmpty }

    /// Adds a reader.
    func add(_ subscriber: EventSubscriber) {
        subscriber.place = subscribers.count
        subscribers.append(subscriber)
    }

    /// Takes a reader out; whether it was there.
    func remove(_ subscriber: EventSubscriber) -> Bool {
        guard subscribers.indices.contains(subscriber.place), subscribers[subscriber.place] === subscriber
        else { return false }
        let last = subscribers.removeLast()
        if last !== subscriber {
            last.place = subscriber.place
            subscribers[subscriber.place] = last
        }
        subscriber.place = -1
        // The last one may have come to a place that was looked at already.
        if remaining > 0 { remaining = subscribers.count }
        return true
    }
}
