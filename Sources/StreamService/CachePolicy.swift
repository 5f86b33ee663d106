import StreamProtocol
import StreamStore

/// What caches may do with an answer (PROTOCOL section 9.1).
struct CachePolicy {
    let state: StreamState
    let isPrivate: Bool
    /// Milliseconds since 1970.
    let now: Int64

    /// Most seconds that an answer stays fresh.
    private static let maximumAge: Int64 = 60
    /// Streams that live shorter than this get no `stale-while-revalidate`: 60 s fresh plus 300 s stale.
    private static let staleLimit: Int64 = 360

    /// Writes the `Cache-Control` of an answer that may be kept.
    func write(to response: inout ServiceResponse) {
        guard let life = secondsOfLife else {
            if isPrivate {
                response.add(
                    HeaderName.cacheControl, fixed: "private, max-age=60, stale-while-revalidate=300")
            } else {
                response.add(HeaderName.cacheControl, fixed: "public, max-age=60, stale-while-revalidate=300")
            }
            return
        }
        let age = min(CachePolicy.maximumAge, life)
        let scope = isPrivate ? "private" : "public"
        let stale = life < CachePolicy.staleLimit ? "" : ", stale-while-revalidate=300"
        response.add(HeaderName.cacheControl, age > 0 ? "\(scope), max-age=\(age)\(stale)" : "no-store")
    }

    /// Whether nginx may answer from its copy, for one second until it asks again.
    ///
    /// Only pieces that end before the tail are kept, since a reader must see its own writes, and never
    /// those of streams that end by time. After the second nginx asks by entity tag and gets a 304 without
    /// a body: so the copy is used for as long as the stream exists, and no longer.
    /// Nor those of forks: one made again at the same URL shares the incarnation, so tokens of the old one stay
    /// valid, and a copy of its would be read beside new content.
    /// And only what was asked for by a token with the stream's incarnation: any other URL, the start of a stream
    /// however it is spelled, means other content once the stream was deleted and made again.
    ///
    /// - Parameter start: the token asked for; nil for the start of the stream.
    func isStorable(from start: Offset?, reachesTail: Bool) -> Bool {
        start?.incarnation == state.incarnation && !reachesTail && state.lifetime == .unlimited
            && state.fork == nil
    }

    private var secondsOfLife: Int64? {
        switch state.lifetime {
        case .unlimited: nil
        case .window(let seconds): seconds
        case .until(let milliseconds, _): max(0, (milliseconds - now) / 1_000)
        }
    }
}
