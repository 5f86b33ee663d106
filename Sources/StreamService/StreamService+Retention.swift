import StreamProtocol
import StreamStore

/// The headers by which a stream says how much of it is kept. They go beyond the protocol, which leaves retention to the
/// server (PROTOCOL sections 2.5 and 3.3).
extension StreamService {
    /// Their names, for preflights.
    static let retentionHeaders =
        "\(HeaderName.streamRetentionAge), \(HeaderName.streamRetentionBytes), \(HeaderName.streamRetentionMessages)"

    /// What a PUT asks for.
    static func retention(_ headers: RequestHeaders) throws(ServiceError) -> Retention {
        func number(_ field: HeaderField) throws(ServiceError) -> Int64? {
            guard let text = headers.nonEmpty(field) else { return nil }
            guard let number = NumberGrammar.canonical(text) else { throw .retentionInvalid }
            return number
        }
        return Retention(
            age: try number(.streamRetentionAge), bytes: try number(.streamRetentionBytes),
            messages: try number(.streamRetentionMessages))
    }

    /// What HEAD says of it.
    static func show(_ state: StreamState, beside defaults: Retention, in response: inout ServiceResponse) {
        let shown = state.retention.shown(beside: defaults)
        if shown != Retention() || state.earliest > 0 { response.exposed.insert(.retention) }
        if let age = shown.age { response.add(HeaderName.streamRetentionAge, String(age)) }
        if let bytes = shown.bytes { response.add(HeaderName.streamRetentionBytes, String(bytes)) }
        if let messages = shown.messages {
            response.add(HeaderName.streamRetentionMessages, String(messages))
        }
        if state.earliest > 0 || !shown.limits(beside: Retention()).isEmpty {
            response.add(HeaderName.streamEarliestOffset, state.offset(state.earliest))
        }
    }
}
