import NIOCore

/// When each reader of events is looked at next: a wheel of moments, each with the readers whose turn it is then.
///
/// Who waits costs nothing until then. A write to a reader moves nobody, though it puts off the next comment: who is looked
/// at too early goes on to a later moment. Nobody is looked at too late as long as each moment chosen lies no later than
/// whatever may become due meanwhile.
struct Timetable {
    /// Time between moments.
    static let step = TimeAmount.milliseconds(100)

    /// Readers by moment, as a circle.
    private var moments: [[EventSubscriber]]
    private let start: NIODeadline
    /// The number of the moment that was served last, counted from `start`.
    private var served: Int64 = 0
    /// Looks that need no better come at every so manieth moment: many at a time cost less than one after the other.
    var grain: Int64

    /// - Parameters:
    ///   - horizon: how far ahead a moment may lie.
    ///   - grain: in moments.
    init(horizon: TimeAmount, grain: Int64, now: NIODeadline) {
        let steps = horizon.nanoseconds / Timetable.step.nanoseconds
        // One circle never holds two moments of one place.
        moments = Array(repeating: [], count: Int(steps + 2 * max(grain, 1)) + 2)
        self.grain = grain
        start = now
    }

    /// Puts down a reader that is in no moment.
    ///
    /// - Parameters:
    ///   - time: when it is looked at, at the earliest; a past time means the next moment.
    ///   - isExact: whether it is looked at within one step behind that, instead of one grain.
    /// - Returns: when that is.
    mutating func put(_ subscriber: EventSubscriber, at time: NIODeadline, isExact: Bool) -> NIODeadline {
        let step = Timetable.step.nanoseconds
        var moment = max(served + 1, ((time - start).nanoseconds + step - 1) / step)
        if !isExact { moment = (moment + grain - 1) / grain * grain }
        moment = min(moment, served + Int64(moments.count) - 1)
        let place = Int(moment % Int64(moments.count))
        subscriber.moment = Int32(place)
        subscriber.turn = Int32(moments[place].count)
        moments[place].append(subscriber)
        return self.time(of: moment)
    }

    /// Takes out a reader, if it is there.
    mutating func remove(_ subscriber: EventSubscriber) {
        let place = Int(subscriber.moment)
        let turn = Int(subscriber.turn)
        // Of a moment that is being served nothing is here any more.
        guard place >= 0, moments[place].indices.contains(turn), moments[place][turn] === subscriber else {
            return
        }
        let last = moments[place].removeLast()
        if last !== subscriber {
            last.turn = subscriber.turn
            moments[place][turn] = last
        }
        subscriber.moment = -1
    }

    /// The next moment that has readers, if it comes before a time; else that time.
    func nextMoment(by time: NIODeadline) -> NIODeadline {
        var moment = served + 1
        while self.time(of: moment) < time {
            if !moments[Int(moment % Int64(moments.count))].isEmpty { return self.time(of: moment) }
            moment += 1
        }
        return time
    }

    private func time(of moment: Int64) -> NIODeadline {
        start + .nanoseconds(moment * Timetable.step.nanoseconds)
    }

    /// Takes out the readers of the next moment that has come, with its time; nil when none has.
    mutating func next(at now: NIODeadline) -> (time: NIODeadline, readers: [EventSubscriber])? {
        let current = (now - start).nanoseconds / Timetable.step.nanoseconds
        // Behind a stop of the whole process, once round has them all.
        served = max(served, current - Int64(moments.count))
        while served < current {
            served += 1
            let place = Int(served % Int64(moments.count))
            guard !moments[place].isEmpty else { continue }
            let readers = moments[place]
            moments[place] = []
            return (time(of: served), readers)
        }
        return nil
    }
}
