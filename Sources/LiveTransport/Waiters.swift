import CLinux
import Glibc
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
    /// The socket, for `send`; nil: everything goes through the channel.
    private let socket: NIOBSDSocket.Handle?
    /// Writes that the channel has not done yet: as long as there are some, all others wait behind them.
    private var pendingWrites = 0
    /// Whether its peer took longer than others for what it was sent.
    var isSlow = false
    /// Among the readers of its stream; -1: not there.
    var place = -1

    init(
        _ stream: EventStream, channel: any Channel, requestID: String?, now: NIODeadline, endsAt: NIODeadline
    ) {
        self.stream = stream
        self.channel = channel
        socket = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self, { $0 })
        self.requestID = requestID
        lastWrite = now
        self.endsAt = endsAt
    }

    /// Sends bytes behind all that was sent before.
    ///
    /// The socket takes them at once unless its reader is behind. Then nothing lies in the channel either, and one system
    /// call is all it takes; the channel's pipeline, its queue of writes and its promises cost twice as much as that. What
    /// the socket doesn't take goes through the channel, which waits for it, and which finds out about errors.
    func send(_ bytes: ByteBuffer) {
        var rest = bytes
        // A closed channel has given its descriptor back, and somebody else may have it.
        if pendingWrites == 0, let socket, channel.isActive {
            let sent = bytes.withUnsafeReadableBytes { bytes in
                Glibc.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            }
            if sent == bytes.readableBytes { return }
            if sent > 0 { rest.moveReaderIndex(forwardBy: sent) }
        }
        note(channel.writeAndFlush(rest))
    }

    /// Keeps everything sent later behind a write through the channel.
    func note(_ write: EventLoopFuture<Void>) {
        pendingWrites += 1
        write.assumeIsolated().whenComplete { [weak self] _ in self?.pendingWrites -= 1 }
    }

    /// Whether its peer has not taken yet what was sent.
    var hasUnreadBytes: Bool {
        guard let socket, channel.isActive else { return false }
        return ds_has_unread_bytes(socket) != 0
    }
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
