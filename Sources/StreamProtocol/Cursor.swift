/// The number that makes live URLs change over time, so that no cache replays one stored answer for
/// ever (PROTOCOL section 9.4).
public enum Cursor {
    /// 2024-10-09T00:00:00Z in milliseconds since 1970.
    static let origin: Int64 = 1_728_432_000_000
    /// Length of an interval in milliseconds.
    static let interval: Int64 = 20_000
    /// Larger request values are ignored like malformed ones.
    static let largest: Int64 = 9_007_199_254_740_000

    /// The interval that contains a time (milliseconds since 1970).
    public static func current(at now: Int64) -> Int64 { (now - origin) / interval }

    /// Reads a request's `cursor`: decimal digits up to 9007199254740000; nil counts as absent.
    public static func parse(_ text: some StringProtocol) -> Int64? {
        guard let value = NumberGrammar.digits(text), value <= largest else { return nil }
        return value
    }

    /// The cursor to answer: the current interval, or, when the request is not behind it, a jittered
    /// step beyond the request's own, so that it always grows.
    public static func answer(
        to request: Int64?, at now: Int64, using generator: inout some RandomNumberGenerator
    ) -> Int64 {
        let current = current(at: now)
        guard let request, request >= current else { return current }
        let seconds = Int64.random(in: 1...3_600, using: &generator)
        return request + (seconds + 19) / 20
    }
}
