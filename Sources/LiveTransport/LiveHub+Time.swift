import NIOCore
import StreamProtocol
import StreamService
import StreamStore

/// What the passing of time brings: ends of lifetimes, comments that keep connections open, readers that take nothing.
extension LiveHub {
    func onTick() {
        ticks += 1
        keepStreamsAlive()
        // Lost rights need no better than half a second, lifetimes and stalls a second; thousands of readers wait here.
        let shortest = min(options.keepAlive.nanoseconds, options.eventLifetime.nanoseconds)
        if shortest > TimeAmount.seconds(2).nanoseconds, ticks % 5 != 0, leaving == nil { return }
        endLostLeases()
        // A look at 10,000 readers takes 4 ms, most of which is waiting for their memory.
        if shortest > TimeAmount.seconds(10).nanoseconds, ticks % 10 != 0, leaving == nil { return }
        let now = NIODeadline.now()
        for watch in watches.values {
            for subscriber in watch.subscribers { look(at: subscriber, now) }
        }
    }

    private func look(at subscriber: EventSubscriber, _ now: NIODeadline) {
        if subscriber.isSlow, !subscriber.hasUnreadBytes { subscriber.isSlow = false }
        if let since = subscriber.blockedSince, now - since > options.stallLimit {
            // Closing takes a moment, in which it may be looked at again.
            if subscriber.channel.isActive { telemetry.add(.readersCutOff) }
            subscriber.channel.close(promise: nil)
        } else if subscriber.phase == .ended {
            return
        } else if now >= subscriber.endsAt, !subscriber.isFirst {
            end(subscriber)
        } else if subscriber.phase == .idle, now - subscriber.lastWrite >= options.keepAlive {
            write(LiveHub.comment, to: subscriber)
        }
    }

    private static let comment = ByteBuffer(staticString: EventFraming.keepAlive)

    /// A stream with a TTL doesn't expire while somebody waits for it; one with a fixed end does, and
    /// its readers are told.
    private func keepStreamsAlive() {
        let now = reads.now
        for watch in Array(watches.values) {
            guard let deadline = watch.state.deadline else { continue }
            switch watch.state.lifetime {
            case .window(let seconds):
                // Twice in each window, so that a touch has time to be written.
                if deadline - now < seconds * 500 {
                    reads.touch(watch.state)
                    watch.state.deadline = now + seconds * 1_000
                }
            case .until:
                if now >= deadline { changed(watch.state.id) }
            case .unlimited: break
            }
        }
    }
}
