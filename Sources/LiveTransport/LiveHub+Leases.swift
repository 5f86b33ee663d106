import NIOCore
import StreamAccess
import StreamService

/// Readers are served for as long as their tokens are good.
extension LiveHub {
    /// The earlier of a time and the end of a lease.
    func end(_ time: NIODeadline, atMost lease: AccessControl.Lease?) -> NIODeadline {
        guard let lease else { return time }
        return min(time, .now() + .milliseconds(max(0, lease.expires - reads.now)))
    }

    /// Ends a reader of events with its token; the tick, which ends all others, may be half a second late.
    func limit(_ subscriber: EventSubscriber) {
        guard subscriber.stream.lease != nil else { return }
        // It may have been lost since the request was judged.
        guard !isLost(subscriber.stream.lease) else { return end(subscriber) }
        loop.assumeIsolated().scheduleTask(deadline: subscriber.endsAt) { [self, weak subscriber] in
            guard let subscriber, subscriber.phase != .ended else { return }
            end(subscriber)
        }
    }

    /// Whether the secret behind a lease was removed.
    func isLost(_ lease: AccessControl.Lease?) -> Bool { lease.map { !reads.access.holds($0) } ?? false }

    /// Ends those whose secret was removed.
    func endLostLeases() {
        let version = reads.access.registryVersion
        guard version != registryVersion else { return }
        registryVersion = version
        for watch in Array(watches.values) {
            for waiter in Array(watch.polls.values) where isLost(waiter.poll.lease) {
                finish(waiter, reads.timeout(waiter.poll))
            }
            for subscriber in watch.subscribers where isLost(subscriber.stream.lease) {
                end(subscriber)
            }
        }
    }
}
