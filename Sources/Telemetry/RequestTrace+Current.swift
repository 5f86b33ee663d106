import Glibc

/// What the calling thread works on, for the lines that it logs meanwhile.
extension RequestTrace {
    /// A slot of each thread; made once.
    private static let slot: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key, nil)
        return key
    }()

    /// The request that the calling thread works on.
    public static var current: RequestTrace? {
        pthread_getspecific(slot).map { Unmanaged<RequestTrace>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Puts another into the thread's slot; gives what was there.
    @usableFromInline
    static func exchange(_ trace: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        let before = pthread_getspecific(slot)
        pthread_setspecific(slot, trace)
        return before
    }

    /// Runs work for a request; `current` is it meanwhile. The caller keeps the trace.
    @inlinable
    public static func working<Outcome, Failure: Error>(
        on trace: RequestTrace?, _ body: () throws(Failure) -> Outcome
    ) throws(Failure) -> Outcome {
        guard let trace else { return try body() }
        let before = exchange(Unmanaged.passUnretained(trace).toOpaque())
        defer { _ = exchange(before) }
        return try body()
    }
}
