/// One header field, as it was sent or came.
public struct HTTPField: Sendable, Equatable {
    /// The name, in the case in which it was sent.
    public let name: String
    /// The value, without white space around it.
    public let value: String

    /// A field; nothing is checked here, see ``HTTPField/init(line:)`` for texts of others.
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    /// Reads `Name: value`; nil for anything else, such as a line break that would begin another field.
    public init?(line: String) {
        guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let name = line[..<colon]
        guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            line.utf8.allSatisfy({ ($0 >= 0x20 && $0 != 0x7F) || $0 == 0x09 })
        else { return nil }
        self.init(String(name), HTTPField.trimmed(line[line.utf8.index(after: colon)...]))
    }

    /// Without spaces and tabs around it.
    static func trimmed(_ text: Substring) -> String {
        var text = text.utf8
        while let first = text.first, first == 0x20 || first == 0x09 { text = text.dropFirst() }
        while let last = text.last, last == 0x20 || last == 0x09 { text = text.dropLast() }
        return String(Substring(text))
    }
}

/// Header fields in the order in which they came; a name that came twice is there twice.
public struct HTTPFields: Sendable, Equatable, ExpressibleByArrayLiteral {
    /// All fields.
    public var list: [HTTPField]

    /// Fields in order.
    public init(_ list: [HTTPField] = []) { self.list = list }

    /// Fields in order.
    public init(arrayLiteral elements: HTTPField...) { list = elements }

    /// The first value of a name, whatever its case; nil when there is none.
    public subscript(name: String) -> String? { all(name).first }

    /// All values of a name, whatever its case.
    public func all(_ name: String) -> [String] {
        let wanted = name.lowercased()
        return list.filter { $0.name.lowercased() == wanted }.map(\.value)
    }

    /// Adds a field behind all others.
    public mutating func add(_ name: String, _ value: String) { list.append(HTTPField(name, value)) }
}
