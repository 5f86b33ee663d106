import StreamProtocol

/// A JSON document to be written.
enum JSON {
    case string(String)
    case integer(Int64)
    case number(Double)
    case bool(Bool)
    case null
    case array([JSON])
    /// Members in their order.
    case object([(String, JSON)])

    static func optional(_ value: Int64?) -> JSON { value.map { .integer($0) } ?? .null }
    static func optional(_ value: Double?) -> JSON { value.map { .number($0) } ?? .null }
    static func optional(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }

    /// The text.
    var text: String {
        switch self {
        case .string(let text): JSONText.quoted(text)
        case .integer(let number): "\(number)"
        // Neither NaN nor infinity is JSON.
        case .number(let number): number.isFinite ? JSON.rounded(number) : "null"
        case .bool(let flag): "\(flag)"
        case .null: "null"
        case .array(let elements): "[" + elements.map(\.text).joined(separator: ",") + "]"
        case .object(let members):
            "{" + members.map { JSONText.quoted($0.0) + ":" + $0.1.text }.joined(separator: ",") + "}"
        }
    }

    /// With four digits behind the point at most.
    private static func rounded(_ number: Double) -> String {
        guard number.magnitude < 1e11 else { return "\(number)" }
        let scaled = (number * 10_000).rounded() / 10_000
        return scaled == scaled.rounded() ? "\(Int64(scaled))" : "\(scaled)"
    }
}
