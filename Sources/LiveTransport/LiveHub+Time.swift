import NIOCore
import StreamProtocol
import StreamService
import StreamStore

/// What the passing of time brings: ends of lifetimes, comments that keep connections open, readers that take nothing.
///
/// Each tick costs what is due by then: thousands of readers wait here, and hardly anything happens to any of them.
extension LiveHub {
    /// Time between ticks that bring nothing: lost rights need no better than this.
    private static let rest = TimeAmount.milliseconds(500)

    /// Sees to it that there is a tick by a time.
    func tick(by time: NIODeadline) {
        guard time < nextTick else { return }
        nextTick = time
        tickTask?.cancel()
        tickTask = loop.assumeIsolated().scheduleTask(deadline: time) { [self] in onTick() }
    }

    private func onTick() {
        // Whatever is put down meanwhile is asked about at the end.
        nextTick = .uptimeNanoseconds(0)
        keepStreamsAlive()
        endLostLeases()
        fanOutState.forgiveSlow()
        let now = NIODeadline.now()
        while let (time, readers) = timetable.next(at: now) {
            // Measured by this time and not by `now`, or each comment would come another second late.
            for subscriber in readers { look(at: subscriber, time) }
        }
        nextTick = .distantFuture
        var next = min(now + LiveHub.rest, timetable.nextMoment(by: now + LiveHub.rest))
        if nextDeadline < .max { next = min(next, now + .milliseconds(max(100, nextDeadline - reads.now))) }
        tick(by: next)
    }

    /// A table for these options. Comments and ends of lifetimes may come a second late, but not where that is much of them.
    static func timetable(for options: LiveOptions) -> Timetable {
        let shortest = min(options.keepAlive, options.eventLifetime)
        let grain: Int64 = shortest > .seconds(10) ? 10 : shortest > .seconds(2) ? 5 : 1
        return Timetable(horizon: min(options.keepAlive, options.stallLimit), grain: grain, now: .now())
    }

    /// Puts down when a reader is to be looked at.
    func schedule(_ subscriber: EventSubscriber, _ now: NIODeadline) {
        // Whatever becomes of it meanwhile, nothing is due before.
        var next = now + min(options.keepAlive, options.stallLimit)
        if let since = subscriber.blockedSince { next = min(next, since + options.stallLimit) }
        var isExact = false
        if subscriber.phase != .ended {
            next = min(next, subscriber.lastWrite + options.keepAlive)
            // With its token everything ends.
            isExact = subscriber.endsAt <= next && subscriber.stream.lease != nil
            next = min(next, subscriber.endsAt)
        }
        tick(by: timetable.put(subscriber, at: next, isExact: isExact))
    }

    private func look(at subscriber: EventSubscriber, _ now: NIODeadline) {
        // Another one's end may have taken it along.
        guard subscriber.place >= 0 else { return }
        if let since = subscriber.blockedSince, now - since >= options.stallLimit {
            // Closing takes a moment, in which it may be looked at again.
            if subscriber.channel.isActive { telemetry.add(.readersCutOff) }
            subscriber.channel.close(promise: nil)
        } else if subscriber.phase != .ended {
            if now >= subscriber.endsAt, !subscriber.isFirst {
                end(subscriber)
            } else if subscriber.phase == .idle, now - subscriber.lastWrite >= options.keepAlive {
                write(LiveHub.comment, to: subscriber, now)
            }
        }
        if subscriber.place >= 0 { schedule(subscriber, now) }
    }

    private static let comment = ByteBuffer(staticString: EventFraming.keepAlive)

    /// A stream with a TTL doesn't expire while somebody waits for it; one with a fixed end does, and
    /// its readers are told.
    private func keepStreamsAlive() {
        let now = reads.now
        guard now >= nextDeadline else { return }
        nextDeadline = .max
        for watch in Array(watches.values) {
            guard let deadline = watch.state.deadline else { continue }
            switch watch.state.lifetime {
            case .window(let seconds):
                // Twice in each window, so that a touch has time to be written.
                var due = deadline - seconds * 500
                if now > due {
                    reads.touch(watch.state)
                    watch.state.deadline = now + seconds * 1_000
                    due = now + seconds * 500
                }
                nextDeadline = min(nextDeadline, due + 1)
            case .until:
                nextDeadline = min(nextDeadline, deadline)
                if now >= deadline { changed(watch.state.id) }
            case .unlimited: break
            }
        }
    }
}
