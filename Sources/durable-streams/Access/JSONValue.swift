import StreamProtocol

/// A JSON value (RFC 8259) that is written as it was put together: members stay in order.
enum JSONValue {
    case null
    case flag(Bool)
    case number(Int64)
    case string(String)
    case array([JSONValue])
    case object([(name: String, value: JSONValue)])
    /// JSON text that is ready.
    case text(String)

    /// The text of something that may be missing.
    static func string(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }

    /// A number that may be missing.
    static func number(_ number: Int64?) -> JSONValue { number.map { .number($0) } ?? .null }

    /// The value on one line.
    var json: String {
        switch self {
        case .null: "null"
        case .flag(let flag): flag ? "true" : "false"
        case .number(let number): "\(number)"
        case .string(let text): JSONText.quoted(text)
        case .array(let values): "[" + values.map(\.json).joined(separator: ",") + "]"
        case .object(let members):
            "{"
                + members.map { "\(JSONText.quoted($0.name)):\($0.value.json)" }
                .joined(separator: ",") + "}"
        case .text(let text): text
        }
    }
}

extension JSONValue: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral {
    init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { (name: $0.0, value: $0.1) })
    }

    init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
}
