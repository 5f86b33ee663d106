import NIOCore
import StreamProtocol
import StreamService
import StreamStore

/// How a change reaches thousands of readers without getting in the way of everything else.
///
/// Every event costs nginx many times what it costs here: it has to take it, and to send it through TCP. Whatever else
/// nginx is to do waits behind the events that lie there: requests for appends above all, and so the next change. So
/// they go out in windows. The next one follows as soon as nginx has taken most of the one before, which it shows by the
/// bytes that lie unread in the sockets of the last readers. All readers of a stream are passed in a circle, and each gets
/// what is there when it is its turn: under a load that is too high for an event for each append, one holds several.
struct FanOut {
    /// Events that may be on their way to nginx at a time.
    static let window = 256
    /// Of each so many events, one is asked about. Of the last ones, since nginx takes events in the order of their coming.
    static let sampleDistance = 8
    /// How many of these count.
    static let samples = 8
    /// Time between looks whether nginx has taken a window.
    static let pause = TimeAmount.microseconds(200)
    /// How long is waited for it at most. Whose bytes lie there for longer is slow, which tells nothing of nginx.
    static let patience = TimeAmount.milliseconds(20)

    /// Streams with readers that are to be looked at, first come first served.
    var queue = CircularBuffer<Watch>()
    /// Events since the last look, and some of their readers.
    var sent = 0
    var sampled: [EventSubscriber] = []
    /// Since when it is waited for nginx.
    var waitingSince: NIODeadline?
    var isRunning = false
    /// Readers that took longer than others.
    private var slow: [EventSubscriber] = []

    /// Whether nginx has most of the window still before it.
    var isBehind: Bool {
        sampled.count(where: \.hasUnreadBytes) * 2 > sampled.count
    }

    mutating func noteSent(to subscriber: EventSubscriber) {
        sent += 1
        guard sent % FanOut.sampleDistance == 0, !subscriber.isSlow else { return }
        if sampled.count == FanOut.samples { sampled.removeFirst() }
        sampled.append(subscriber)
    }

    /// Doesn't ask any more those who have not taken what they were sent.
    mutating func noteSlow() {
        for subscriber in sampled where !subscriber.isSlow && subscriber.hasUnreadBytes {
            subscriber.isSlow = true
            slow.append(subscriber)
        }
    }

    /// Asks those again who have taken it meanwhile.
    mutating func forgiveSlow() {
        slow.removeAll { subscriber in
            subscriber.isSlow = subscriber.hasUnreadBytes
            return !subscriber.isSlow
        }
    }

    mutating func beginWindow() {
        sent = 0
        sampled.removeAll(keepingCapacity: true)
        waitingSince = nil
    }
}

extension LiveHub {
    /// Sees to it that all readers of a stream get what is new.
    ///
    /// - Parameter appended: all that it is, as far as the wake-up knows; nil: the store tells.
    func fanOut(_ watch: Watch, _ appended: Appended?) {
        guard !watch.subscribers.isEmpty else { return }
        // Readers that still wait for an earlier change get all in one event.
        watch.appended = watch.remaining == 0 ? appended : nil
        watch.remaining = watch.subscribers.count
        if !watch.isQueued {
            watch.isQueued = true
            fanOutState.queue.append(watch)
        }
        // Who waits for nginx goes on by itself.
        if fanOutState.waitingSince == nil { deliverWindows() }
    }

    private func deliverWindows() {
        // A reader that is ended may lead back to here.
        guard !fanOutState.isRunning else { return }
        fanOutState.isRunning = true
        defer { fanOutState.isRunning = false }
        while !fanOutState.queue.isEmpty {
            if fanOutState.sent >= FanOut.window {
                guard !mustWait() else { return }
                fanOutState.beginWindow()
            }
            let watch = fanOutState.queue.removeFirst()
            serve(watch)
            watch.isQueued = watch.remaining > 0
            if !watch.isQueued { watch.appended = nil }
            if watch.isQueued { fanOutState.queue.append(watch) }
        }
    }

    /// Whether nginx is behind; then it is looked at again in a moment.
    private func mustWait() -> Bool {
        guard fanOutState.isBehind else { return false }
        let now = NIODeadline.now()
        let since = fanOutState.waitingSince ?? now
        guard now - since < FanOut.patience else {
            fanOutState.noteSlow()
            return false
        }
        fanOutState.waitingSince = since
        loop.scheduleTask(in: FanOut.pause) { [self] in deliverWindows() }
        return true
    }

    /// Looks at the readers of a stream whose turn it is, until the window is full.
    private func serve(_ watch: Watch) {
        var last: (key: EventStream.Key, found: Found)?
        // All others; mostly there is none.
        var known: [EventStream.Key: Found] = [:]
        let now = reads.now
        while watch.remaining > 0, fanOutState.sent < FanOut.window {
            if watch.next >= watch.subscribers.count { watch.next = 0 }
            let subscriber = watch.subscribers[watch.next]
            watch.remaining -= 1
            watch.next += 1
            guard let key = idleKey(of: subscriber, now) else { continue }
            let found: Found
            if let last, last.key == key {
                found = last.found
            } else {
                found = known[key] ?? look(for: subscriber, of: watch, at: key)
                if let last { known[last.key] = last.found }
                last = (key, found)
            }
            switch found {
            case .nothing: break
            case .gone: end(subscriber)
            case .events(let events, let buffer):
                write(buffer, to: subscriber)
                fanOutState.noteSent(to: subscriber)
                finishDelivery(events, to: subscriber)
            }
        }
    }

    /// What decides the events for a reader, if it waits for some.
    private func idleKey(of subscriber: EventSubscriber, _ now: Int64) -> EventStream.Key? {
        // The tick that ends it may be half a second away.
        if let lease = subscriber.stream.lease, now >= lease.expires {
            end(subscriber)
            return nil
        }
        guard subscriber.phase == .idle else {
            subscriber.missedChange = true
            return nil
        }
        return subscriber.stream.key(at: now)
    }

    private func look(for subscriber: EventSubscriber, of watch: Watch, at key: EventStream.Key) -> Found {
        let position = subscriber.stream.position
        if let appended = watch.appended,
            let piece = reads.piece(appended, of: watch.state, from: position)
        {
            return found(piece, for: subscriber, at: key)
        }
        switch reads.look(at: watch.state.id, from: position, for: .serverSentEvents, reader: reader) {
        case .failure: return .gone
        case .success(let piece): return found(piece, for: subscriber, at: key)
        }
    }

    private func found(_ piece: StreamPiece, for subscriber: EventSubscriber, at key: EventStream.Key)
        -> Found
    {
        let events = subscriber.stream.events(for: piece, at: key, always: false)
        return events.map { .events($0, ByteBuffer(bytes: $0.bytes)) } ?? .nothing
    }

    /// What a change means for all idle readers at one position.
    private enum Found {
        case events(EventStream.Events, ByteBuffer)
        case nothing
        case gone
    }
}
