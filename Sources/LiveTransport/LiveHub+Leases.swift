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
