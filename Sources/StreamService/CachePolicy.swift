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

    /// `Cache-Control` of an answer that may be kept.
    var cacheControl: String {
        let life = secondsOfLife
        let age = min(CachePolicy.maximumAge, life ?? CachePolicy.maximumAge)
        guard age > 0 else { return "no-store" }
        let scope = isPrivate ? "private" : "public"
        if let life, life < CachePolicy.staleLimit { return "\(scope), max-age=\(age)" }
        return "\(scope), max-age=\(age), stale-while-revalidate=300"
    }

    /// How long nginx may answer from its copy before it asks again, in seconds; 0: it keeps none.
    ///
    /// Only pieces that end before the tail are kept, since a reader must see its own writes, and never
    /// those of streams that end by time. One second, after which nginx asks by entity tag and gets a
    /// 304 without a body: so the copy is used for as long as the stream exists, and no longer.
    func proxySeconds(reachesTail: Bool) -> Int {
        reachesTail || isPrivate || state.lifetime != .unlimited ? 0 : 1
    }

    private var secondsOfLife: Int64? {
        switch state.lifetime {
        case .unlimited: nil
        case .window(let seconds): seconds
        case .until(let milliseconds, _): max(0, (milliseconds - now) / 1_000)
        }
    }
}
