import Logging
import NIOCore
import NIOPosix
import StreamProtocol
import StreamService
import StreamStore
import Telemetry
import WakeChannel

/// Brings changes of streams to those who wait for them, on one event loop.
///
/// A change is read once for all readers that stand at the same position, and its events are one buffer
/// that all of them share. A reader that is behind reads at its own pace on the thread pool, one piece at
/// a time and only while its socket takes it, so it holds little and delays nobody.
///
/// `@unchecked Sendable`: its state is only used on `loop`.
final class LiveHub: @unchecked Sendable {
    let loop: any EventLoop
    let reads: LiveReads
    let options: LiveOptions
    private let pool: ReaderPool
    let reader: StoreReader
    private let interest: LiveInterest
    let telemetry: Telemetry
    let requestWatch: RequestWatch
    private(set) var watches: [Int64: Watch] = [:]
    var tickTask: Scheduled<Void>?
    /// When that comes.
    var nextTick = NIODeadline.distantFuture
    /// When readers of events are looked at.
    var timetable: Timetable
    /// When the lifetimes of streams are looked at next, in milliseconds since 1970.
    var nextDeadline = Int64.max
    /// Of the registry, when leases were last looked at.
    var registryVersion: Int64 = 0
    private(set) var isDraining = false
    /// Set once another process has taken over.
    var leaving: Leaving?
    /// When long-polls end, and the timer for the first of them.
    var pollQueue = PollQueue()
    var pollTimer: (deadline: NIODeadline, task: Scheduled<Void>)?
    /// Deliveries that are under way.
    var fanOutState = FanOut()
    /// Connections for requests.
    var connections = 0
    /// Connections from workers.
    var wakeChannels: [ObjectIdentifier: any Channel] = [:]

    /// How long a new process looks by itself: workers whose wake-ups went to the one before reach it within this time.
    private static let startingTime = TimeAmount.seconds(5)

    init(
        loop: any EventLoop, reads: LiveReads, options: LiveOptions, pool: ReaderPool, reader: StoreReader,
        interest: LiveInterest, telemetry: Telemetry, watch: RequestWatch
    ) {
        self.telemetry = telemetry
        requestWatch = watch
        self.interest = interest
        self.loop = loop
        self.reads = reads
        self.options = options
        self.pool = pool
        self.reader = reader
        timetable = LiveHub.timetable(for: options)
    }

    func start() {
        loop.execute { [self] in
            tick(by: .now())
            lookAround(until: .now() + LiveHub.startingTime)
        }
    }

    /// Judges a request: at once if what it takes is in memory, else on the thread pool, since it may read from the disk.
    func open(
        _ request: ServiceRequest, then goOn: @escaping (Result<LiveReads.Opening, any Error>) -> Void
    ) {
        if reads.waitsAtKnownTail(request, reader: reader) {
            return goOn(.success(reads.open(request, reader: reader)))
        }
        let reads = reads
        pool.run(on: loop) { reader in reads.open(request, reader: reader) }
            .assumeIsolated().whenComplete(goOn)
    }

    // MARK: Long-polls

    func add(_ waiter: PollWaiter) {
        let id = waiter.poll.state.id
        watch(waiter.poll.state).polls[ObjectIdentifier(waiter)] = waiter
        telemetry.adjust(.longPolls, 1)
        setTimeout(of: waiter, at: end(end(of: options.longPollTimeout), atMost: waiter.poll.lease))
        // The last look comes behind the registration, or an append between the two would be missed.
        let seen = reads.look(at: id, from: waiter.poll.position, for: .longPoll, reader: reader)
        if let response = reads.answer(waiter.poll, seen) {
            finish(waiter, response)
        } else if isDraining || isLost(waiter.poll.lease) {
            finish(waiter, reads.timeout(waiter.poll))
        }
    }

    /// The client has gone.
    func remove(_ waiter: PollWaiter) {
        reads.touch(waiter.poll.state)
        forget(waiter)
    }

    func finish(_ waiter: PollWaiter, _ response: ServiceResponse) {
        forget(waiter)
        waiter.finish(response)
    }

    private func forget(_ waiter: PollWaiter) {
        forgetTimeout(of: waiter)
        forget(waiter.poll.state.id) {
            if $0.polls.removeValue(forKey: ObjectIdentifier(waiter)) != nil {
                telemetry.adjust(.longPolls, -1)
            }
        }
    }

    // MARK: Event streams

    func add(_ subscriber: EventSubscriber) {
        watch(subscriber.stream.state).add(subscriber)
        telemetry.adjust(.eventStreams, 1)
        schedule(subscriber, .now())
        // Its right may have been lost since the request was judged.
        if isLost(subscriber.stream.lease) { end(subscriber) } else { readOn(subscriber) }
    }

    /// The connection is closed.
    func remove(_ subscriber: EventSubscriber) {
        subscriber.phase = .ended
        timetable.remove(subscriber)
        reads.touch(subscriber.stream.state)
        forget(subscriber.stream.state.id) {
            if $0.remove(subscriber) { telemetry.adjust(.eventStreams, -1) }
        }
    }

    /// The socket takes bytes again.
    func drained(_ subscriber: EventSubscriber) {
        subscriber.blockedSince = nil
        if subscriber.phase == .blocked { readOn(subscriber) }
    }

    /// Reads the next piece for one subscriber that is behind, or about to start.
    private func readOn(_ subscriber: EventSubscriber) {
        subscriber.phase = .reading
        subscriber.missedChange = false
        let reads = reads
        let id = subscriber.stream.state.id
        let position = subscriber.stream.position
        let began = MonotonicNanoseconds.now
        pool.run(on: loop) { reader in
            reads.look(at: id, from: position, for: .serverSentEvents, reader: reader)
        }.assumeIsolated().whenComplete { [self] result in
            noteRead(for: subscriber, since: began, result)
            guard subscriber.phase == .reading else { return }
            guard case .success(.success(let piece)) = result else { return end(subscriber) }
            let key = subscriber.stream.key(at: reads.now)
            deliver(subscriber.stream.events(for: piece, at: key, always: subscriber.isFirst), to: subscriber)
        }
    }

    /// A piece that took long to read is told as a request of its own, since the whole response takes a minute anyway.
    private func noteRead(
        for subscriber: EventSubscriber, since began: Int64,
        _ result: Result<Result<StreamPiece, ServiceError>, any Error>
    ) {
        let nanoseconds = MonotonicNanoseconds.now - began
        guard nanoseconds >= requestWatch.slowerThan else { return }
        let name = subscriber.stream.state.name
        var slow = SlowRequest(
            operation: .events, status: 200, path: "/v1/\(name.project)/stream/\(name.path)",
            requestID: subscriber.requestID, nanoseconds: nanoseconds)
        if case .success(.success(let piece)) = result { slow.bytesOut = piece.content.count }
        slow.phases = [(RequestTrace.Phase.read.rawValue, nanoseconds)]
        requestWatch.report(slow)
    }

    /// Sends events to a subscriber and decides how it goes on.
    private func deliver(_ events: EventStream.Events?, to subscriber: EventSubscriber) {
        if let events {
            write(ByteBuffer(bytes: events.bytes), to: subscriber)
            finishDelivery(events, to: subscriber)
        } else {
            settle(subscriber)
        }
    }

    func finishDelivery(_ events: EventStream.Events, to subscriber: EventSubscriber) {
        subscriber.stream.advance(over: events)
        subscriber.isFirst = false
        if events.isLast {
            end(subscriber)
        } else if !subscriber.channel.isWritable {
            subscriber.phase = .blocked
            subscriber.blockedSince = subscriber.blockedSince ?? .now()
        } else if !events.reachesTail {
            readOn(subscriber)
        } else {
            settle(subscriber)
        }
    }

    /// At the tail, unless the stream changed meanwhile.
    private func settle(_ subscriber: EventSubscriber) {
        if subscriber.missedChange {
            readOn(subscriber)
        } else {
            subscriber.phase = .idle
        }
    }

    func write(_ buffer: ByteBuffer, to subscriber: EventSubscriber, _ now: NIODeadline = .now()) {
        subscriber.lastWrite = now
        telemetry.add(.readBytesLive, buffer.readableBytes)
        subscriber.send(buffer)
    }

    /// Ends a response behind everything written so far.
    func end(_ subscriber: EventSubscriber) {
        subscriber.phase = .ended
        subscriber.blockedSince = subscriber.channel.isWritable ? nil : subscriber.blockedSince ?? .now()
        let channel = subscriber.channel
        channel.writeAndFlush(ByteBuffer()).whenComplete { _ in channel.close(promise: nil) }
    }

    // MARK: Changes

    /// Tells those who wait for a stream that it has changed.
    func changed(_ change: StreamChange) {
        guard let watch = watches[change.id] else { return }
        if !watch.polls.isEmpty { serve(watch.polls.values) }
        fanOut(watch, change.appended)
    }

    /// Looks again at a stream.
    func changed(_ id: Int64) { changed(StreamChange(id: id)) }

    /// Looks again at every stream that somebody waits for: changes may have been missed.
    func changedAll() {
        for id in Array(watches.keys) { changed(id) }
    }

    private func serve(_ waiters: some Collection<PollWaiter>) {
        var seen: [Int64: Result<StreamPiece, ServiceError>] = [:]
        for waiter in Array(waiters) {
            let position = waiter.poll.position
            let piece =
                seen[position]
                ?? reads.look(at: waiter.poll.state.id, from: position, for: .longPoll, reader: reader)
            seen[position] = piece
            if let response = reads.answer(waiter.poll, piece) { finish(waiter, response) }
        }
    }

    // MARK: Shutdown

    /// Answers all long-polls and ends all event streams; nothing waits any more.
    func drain() {
        isDraining = true
        for watch in Array(watches.values) {
            for waiter in Array(watch.polls.values) { finish(waiter, reads.timeout(waiter.poll)) }
            for subscriber in watch.subscribers { end(subscriber) }
        }
    }

    // MARK: Registry

    private func watch(_ state: StreamState) -> Watch {
        if let known = watches[state.id] { return known }
        if watches.isEmpty { interest.add(1) }
        let watch = Watch(state)
        watches[state.id] = watch
        if state.deadline != nil {
            nextDeadline = 0
            tick(by: .now() + Timetable.step)
        }
        telemetry.adjust(.watchedStreams, 1)
        return watch
    }

    private func forget(_ id: Int64, _ body: (Watch) -> Void) {
        guard let watch = watches[id] else { return }
        body(watch)
        guard watch.isEmpty else { return }
        watches[id] = nil
        telemetry.adjust(.watchedStreams, -1)
        if watches.isEmpty { interest.add(-1) }
    }
}
