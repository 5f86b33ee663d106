import NIOCore

/// Long-polls in the order in which their time is over, on one event loop.
///
/// Nearly all wait equally long, so who comes last ends last, and one timer does for them all. A timer for each was what an
/// answer cost most: the event loop looks for it among those of all others.
struct PollQueue {
    private(set) var first: PollWaiter?
    private unowned var last: PollWaiter?

    /// Adds one behind all others; false if it ends before one of these.
    mutating func append(_ waiter: PollWaiter) -> Bool {
        if let last, waiter.endsAt < last.endsAt { return false }
        waiter.isQueued = true
        waiter.previous = last
        if let last { last.next = waiter } else { first = waiter }
        last = waiter
        return true
    }

    /// Takes one out, if it is there.
    mutating func remove(_ waiter: PollWaiter) {
        guard waiter.isQueued else { return }
        let next = waiter.next
        if let previous = waiter.previous { previous.next = next } else { first = next }
        if let next { next.previous = waiter.previous } else { last = waiter.previous }
        waiter.isQueued = false
        waiter.next = nil
        waiter.previous = nil
    }
}

extension LiveHub {
    /// Answers a long-poll at a time, unless it has one already that is earlier.
    func setTimeout(of waiter: PollWaiter, at deadline: NIODeadline) {
        guard deadline < waiter.endsAt else { return }
        forgetTimeout(of: waiter)
        waiter.endsAt = deadline
        if pollQueue.append(waiter) { return armPollTimer() }
        waiter.timeout = loop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            finish(waiter, reads.timeout(waiter.poll))
        }
    }

    /// Its time does not matter any more.
    func forgetTimeout(of waiter: PollWaiter) {
        pollQueue.remove(waiter)
        waiter.timeout?.cancel()
        waiter.timeout = nil
    }

    /// Sees to it that the timer comes no later than the end of the first. It may come earlier: whoever it was set for
    /// has got an answer meanwhile.
    private func armPollTimer() {
        guard let first = pollQueue.first else { return }
        if let armed = pollTimer {
            if armed.deadline <= first.endsAt { return }
            armed.task.cancel()
        }
        let deadline = first.endsAt
        let task = loop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            pollTimer = nil
            let now = NIODeadline.now()
            while let first = pollQueue.first, first.endsAt <= now {
                finish(first, reads.timeout(first.poll))
            }
            armPollTimer()
        }
        pollTimer = (deadline, task)
    }
}
