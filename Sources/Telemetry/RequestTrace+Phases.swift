/// What took the time of a request.
extension RequestTrace {
    /// A part of a request's time.
    public enum Phase: String, CaseIterable, Sendable {
        /// From its arrival until it was allowed, or refused: reading it from nginx, and its token.
        case auth
        /// Until the committing thread took its write.
        case queue
        /// Until the write was durable.
        case commit
        /// Until what it reads was there.
        case read
        /// From then until the answer was handed to the socket, without what a live reader waited.
        case send
    }

    /// Nanoseconds of a phase; nil when the request had none of it, or it is not over.
    public func nanoseconds(of phase: Phase) -> Int64? {
        switch phase {
        case .auth: nanoseconds(from: .received, to: .judged)
        case .queue: nanoseconds(from: .queued, to: .taken)
        case .commit: nanoseconds(from: .taken, to: .committed)
        case .read: nanoseconds(from: .judged, to: .read)
        case .send: self[.sent] > 0 ? self[.sent] - answered - waited : nil
        }
    }

    private func nanoseconds(from start: Point, to end: Point) -> Int64? {
        let (start, end) = (self[start], self[end])
        return start > 0 && end > 0 ? end - start : nil
    }

    /// Notes that a read ended without result, if it was one.
    public func markFailedRead() {
        if self[.judged] > 0, self[.queued] == 0, self[.read] == 0 { mark(.read) }
    }
}
