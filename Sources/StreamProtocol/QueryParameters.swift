/// The parameters of a query, decoded once: percent escapes, and `+` as a space (PROTOCOL section 2.3).
struct QueryParameters: Sequence, IteratorProtocol {
    private var rest: Substring.UTF8View

    init(_ query: String) { rest = query[...].utf8 }

    /// The next parameter that has a name or a value.
    mutating func next() -> (name: [UInt8], value: [UInt8])? {
        while !rest.isEmpty {
            let end = rest.firstIndex(of: UInt8(ascii: "&")) ?? rest.endIndex
            let parameter = rest[..<end]
            rest = end == rest.endIndex ? rest[end...] : rest[end...].dropFirst()
            guard !parameter.isEmpty else { continue }
            let mark = parameter.firstIndex(of: UInt8(ascii: "=")) ?? parameter.endIndex
            return (
                QueryParameters.decode(parameter[..<mark]),
                QueryParameters.decode(parameter[mark...].dropFirst())
            )
        }
        return nil
    }

    /// A broken escape stays as it is and then matches nothing.
    private static func decode(_ text: Substring.UTF8View) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            index = text.index(after: index)
            if byte == UInt8(ascii: "+") {
                output.append(0x20)
            } else if byte == UInt8(ascii: "%"),
                let second = text.index(index, offsetBy: 1, limitedBy: text.endIndex),
                second < text.endIndex, let high = hexDigit(text[index]), let low = hexDigit(text[second])
            {
                output.append(high << 4 | low)
                index = text.index(after: second)
            } else {
                output.append(byte)
            }
        }
        return output
    }
}

extension ReadQuery {
    /// The value of `rk`; nil when it is absent or given twice.
    public static func readerKey(in query: String?) -> [UInt8]? {
        guard let query, query.utf8.contains(UInt8(ascii: "r")) || query.utf8.contains(UInt8(ascii: "%"))
        else {
            return nil
        }
        let keys = QueryParameters(query).filter { $0.name.elementsEqual("rk".utf8) }
        return keys.count == 1 ? keys[0].value : nil
    }
}

/// The query of a creation.
public enum CreationQuery {
    /// Whether a stream is to be public: `public=true` or `public=false`, once; nil for anything else.
    public static func isPublic(_ query: String?) -> Bool? {
        guard let query else { return false }
        let values = QueryParameters(query).filter { $0.name.elementsEqual("public".utf8) }.map(\.value)
        guard let value = values.first else { return false }
        guard values.count == 1 else { return nil }
        if value.elementsEqual("true".utf8) { return true }
        return value.elementsEqual("false".utf8) ? false : nil
    }
}

/// The query of a list of streams.
public struct ListingQuery: Equatable, Sendable {
    /// What the paths begin with, as they are in URLs.
    public var prefix = ""
    /// The path before the page.
    public var after: String?
    /// Most streams, 1…1,000.
    public var limit = 100

    /// Most streams that a page may have.
    public static let highestLimit = 1_000

    /// Reads an undecoded query; nil when `limit` is malformed or given twice. Of other parameters the last one counts.
    public init?(_ query: String?) {
        var hasLimit = false
        for (name, value) in QueryParameters(query ?? "") {
            if name.elementsEqual("prefix".utf8) {
                prefix = String(decoding: value, as: UTF8.self)
            } else if name.elementsEqual("after".utf8) {
                after = value.isEmpty ? nil : String(decoding: value, as: UTF8.self)
            } else if name.elementsEqual("limit".utf8) {
                guard !hasLimit, let number = NumberGrammar.digits(String(decoding: value, as: UTF8.self)),
                    (1...Int64(ListingQuery.highestLimit)).contains(number)
                else { return nil }
                hasLimit = true
                limit = Int(number)
            }
        }
    }
}
