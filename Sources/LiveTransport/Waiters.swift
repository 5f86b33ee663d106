import NIOCore
import StreamService
import StreamStore

/// A long-poll that waits for its stream to change. Lives on one event loop.
final class PollWaiter {
    let poll: LongPoll
    var timeout: Scheduled<Void>?
    /// When that comes.
    var endsAt = NIODeadline.distantFuture
    private let respond: (ServiceResponse) -> Void

    init(_ poll: LongPoll, respond: @escaping (ServiceResponse) -> Void) {
        self.poll = poll
        self.respond = respond
    }

    func finish(_ response: ServiceResponse) {
        timeout?.cancel()
        respond(response)
    }
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
    let channel: any Channel
    var phase = Phase.reading
    /// Whether the stream changed while a piece was being read.
    var missedChange = false
    /// Whether the first control event is still to be sent.
    var isFirst = true
    var lastWrite: NIODeadline
    var blockedSince: NIODeadline?
    var endsAt: NIODeadline
    let requestID: String?

    init(
        _ stream: EventStream, channel: any Channel, requestID: String?, now: NIODeadline, endsAt: NIODeadline
    ) {
        self.stream = stream
        self.channel = channel
        self.requestID = requestID
        lastWrite = now
        self.endsAt = endsAt
    }
}

/// Everybody who waits for one stream.
final class Watch {
    var state: StreamState
    var polls: [ObjectIdentifier: PollWaiter] = [:]
    var subscribers: [ObjectIdentifier: EventSubscriber] = [:]

    init(_ state: StreamState) { self.state = state }

    var isEmpty: Bool { polls.isEmpty && subscribers.isEmpty }
}
