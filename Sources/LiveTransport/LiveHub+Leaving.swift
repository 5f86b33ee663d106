import NIOCore
import StreamService

/// How a live process hands its readers over to the one that has taken its place.
///
/// Readers reconnect by themselves when their responses end, so all that matters is that they don't come in one moment,
/// and hear of everything until they go. Wake-ups reach the new process only, so this one looks by itself.
extension LiveHub {
    /// Time between looks, if they take little.
    private static let lookInterval = TimeAmount.milliseconds(50)
    /// How many times as long as a look at everything the rest behind it is.
    private static let restFactor: Int64 = 4

    /// Ends all responses, spread evenly over a time. What still comes on kept connections is served, and each answer
    /// closes its connection; once all are closed, `whenGone` is called.
    func leave(over spread: TimeAmount, whenGone: EventLoopPromise<Void>) {
        leaving = Leaving(spread: spread, whenGone: whenGone)
        for wake in Array(wakeChannels.values) { wake.close(promise: nil) }
        let now = NIODeadline.now()
        // In a second too many would come back at once.
        timetable.grain = 1
        let subscribers = watches.values.flatMap { $0.subscribers }
        for (number, subscriber) in subscribers.enumerated() {
            subscriber.endsAt = min(
                subscriber.endsAt, now + LiveHub.part(number + 1, of: subscribers.count, spread))
            timetable.remove(subscriber)
            schedule(subscriber, now)
        }
        let polls = watches.values.flatMap { $0.polls.values }
        for (number, waiter) in polls.enumerated() {
            setTimeout(of: waiter, at: now + LiveHub.part(number + 1, of: polls.count, spread))
        }
        lookAround(until: nil)
        noteClosed()
    }

    private static func part(_ number: Int, of count: Int, _ time: TimeAmount) -> TimeAmount {
        .nanoseconds(time.nanoseconds / Int64(count) * Int64(number))
    }

    /// When a response that begins now ends, if nothing else ends it.
    func end(of lifetime: TimeAmount) -> NIODeadline {
        guard let leaving else { return .now() + lifetime }
        let spread = leaving.spread.nanoseconds
        return .now() + min(lifetime, .nanoseconds(Int64.random(in: (spread / 4)...max(spread / 4, spread))))
    }

    /// Looks at everything that somebody waits for again and again: wake-ups may go to another process.
    func lookAround(until end: NIODeadline?) {
        let start = NIODeadline.now()
        if let end, start > end { return }
        changedAll()
        let rest = max(LiveHub.lookInterval, (NIODeadline.now() - start) * Int(LiveHub.restFactor))
        loop.scheduleTask(in: rest) { [self] in lookAround(until: end) }
    }

    // MARK: Connections

    func opened(_ channel: any Channel) {
        connections += 1
        channel.closeFuture.assumeIsolated().whenComplete { [self] _ in
            connections -= 1
            noteClosed()
        }
    }

    func openedWake(_ channel: any Channel) {
        let key = ObjectIdentifier(channel)
        wakeChannels[key] = channel
        channel.closeFuture.assumeIsolated().whenComplete { [self] _ in wakeChannels[key] = nil }
    }

    private func noteClosed() {
        if let leaving, connections == 0 { leaving.whenGone.succeed() }
    }

    /// What is known once others have taken over.
    struct Leaving {
        let spread: TimeAmount
        let whenGone: EventLoopPromise<Void>
    }
}
