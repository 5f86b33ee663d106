import StreamProtocol

/// The members of one JSON object (RFC 8259), as a token's header and claims are: few, and flat.
///
/// Stricter than the RFC asks for: no name may come twice, since two readers could then see two different
/// tokens.
package struct JSONMembers: Sendable {
    /// A member's value.
    package enum Value: Equatable, Sendable {
        /// A string, with its escapes resolved.
        case string(String)
        /// A number: as near as a Double comes (infinite beyond its range), and exactly when it is an integer
        /// that fits.
        case number(Double, exactly: Int64?)
        case bool(Bool)
        case null
        /// An object or an array, of which nothing is kept.
        case nested
    }

    /// Why bytes are not taken.
    package enum Problem: Error {
        /// Not one JSON object in UTF-8, one with a lone surrogate, or one with more than `maximumCount`
        /// members.
        case malformed
        /// A name comes twice.
        case duplicate
    }

    /// The most members an object may have, so that looking for duplicates stays cheap.
    package static let maximumCount = 64

    private var members: [(name: String, value: Value, nested: [UInt8])] = []

    /// Reads an object.
    ///
    /// - Parameter keepsNested: whether `strings` is to be asked for later.
    package init(_ bytes: UnsafeBufferPointer<UInt8>, keepsNested: Bool = false) throws(Problem) {
        var reader = MemberReader(bytes: bytes)
        members.reserveCapacity(8)
        guard reader.takeToken(UInt8(ascii: "{")) else { throw .malformed }
        if !reader.takeToken(UInt8(ascii: "}")) {
            repeat {
                reader.skipWhitespace()
                guard let name = reader.readString(), reader.takeToken(UInt8(ascii: ":")) else {
                    throw .malformed
                }
                reader.skipWhitespace()
                let start = reader.index
                guard let value = reader.readValue(), members.count < JSONMembers.maximumCount else {
                    throw .malformed
                }
                guard self[name] == nil else { throw .duplicate }
                let nested = value == .nested && keepsNested ? Array(bytes[start..<reader.index]) : []
                members.append((name, value, nested))
            } while reader.takeToken(UInt8(ascii: ","))
            guard reader.takeToken(UInt8(ascii: "}")) else { throw .malformed }
        }
        reader.skipWhitespace()
        guard reader.isAtEnd else { throw .malformed }
    }

    /// Reads an object.
    package init(_ bytes: [UInt8], keepsNested: Bool = false) throws(Problem) {
        self = try bytes.withUnsafeBufferPointer { bytes throws(Problem) in
            try JSONMembers(bytes, keepsNested: keepsNested)
        }
    }

    /// The names, in their order.
    package var names: [String] { members.map(\.name) }

    /// The value of a name where it is an array of strings; nil for anything else.
    package func strings(_ name: String) -> [String]? {
        guard let member = members.first(where: { $0.name.hasSameBytes(as: name) }) else { return nil }
        return member.nested.withUnsafeBufferPointer { bytes in
            var reader = MemberReader(bytes: bytes)
            guard reader.takeToken(UInt8(ascii: "[")) else { return nil }
            var strings: [String] = []
            if reader.takeToken(UInt8(ascii: "]")) { return strings }
            repeat {
                reader.skipWhitespace()
                guard let string = reader.readString() else { return nil }
                strings.append(string)
            } while reader.takeToken(UInt8(ascii: ","))
            return reader.takeToken(UInt8(ascii: "]")) ? strings : nil
        }
    }

    /// The value of a name, byte by byte; nil when there is none.
    package subscript(name: String) -> Value? {
        members.first { $0.name.hasSameBytes(as: name) }?.value
    }
}

extension String {
    /// Whether two texts are the same bytes. `==` also holds for canonically equivalent ones: U+212A is its
    /// `K`.
    func hasSameBytes(as other: String) -> Bool {
        // It settles nearly all cases at once, though, and most names differ.
        self == other && utf8.elementsEqual(other.utf8)
    }
}

/// One pass over a JSON object's text.
private struct MemberReader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private(set) var index = 0

    init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    var isAtEnd: Bool { index == bytes.count }

    mutating func skipWhitespace() {
        while let byte = peek(), byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { index += 1 }
    }

    /// Takes a structural character with the whitespace before it.
    mutating func takeToken(_ byte: UInt8) -> Bool {
        skipWhitespace()
        return take(byte)
    }

    mutating func readValue() -> JSONMembers.Value? {
        switch peek() {
        case UInt8(ascii: "\""): readString().map { .string($0) }
        case UInt8(ascii: "t"): takeWord("true") ? .bool(true) : nil
        case UInt8(ascii: "f"): takeWord("false") ? .bool(false) : nil
        case UInt8(ascii: "n"): takeWord("null") ? .null : nil
        case UInt8(ascii: "["), UInt8(ascii: "{"): skipNested() ? .nested : nil
        default: readNumber()
        }
    }

    mutating func readString() -> String? {
        guard take(UInt8(ascii: "\"")) else { return nil }
        let start = index
        var isASCII = true
        while let byte = peek(), byte >= 0x20 {
            switch byte {
            case UInt8(ascii: "\""):
                let text = UnsafeBufferPointer(rebasing: bytes[start..<index])
                index += 1
                return isASCII
                    ? String(decoding: text, as: UTF8.self) : String(validating: text, as: UTF8.self)
            case UInt8(ascii: "\\"): return readEscapedString(from: start)
            default:
                if byte >= 0x80 { isASCII = false }
                index += 1
            }
        }
        return nil
    }

    /// Goes on with a string at its first escape.
    private mutating func readEscapedString(from start: Int) -> String? {
        var text = Array(bytes[start..<index])
        while let byte = peek(), byte >= 0x20 {
            index += 1
            switch byte {
            case UInt8(ascii: "\""): return String(validating: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let scalar = readEscape() else { return nil }
                text.append(contentsOf: scalar.utf8)
            default: text.append(byte)
            }
        }
        return nil
    }

    /// What stands behind a backslash; nil for a lone surrogate.
    private mutating func readEscape() -> Unicode.Scalar? {
        guard let byte = peek() else { return nil }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            guard let unit = readCodeUnit() else { return nil }
            guard 0xD800...0xDBFF ~= unit else { return Unicode.Scalar(unit) }
            guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")), let low = readCodeUnit(),
                0xDC00...0xDFFF ~= low
            else { return nil }
            return Unicode.Scalar(0x10000 + (UInt32(unit) - 0xD800) << 10 + (UInt32(low) - 0xDC00))
        default: return nil
        }
    }

    private mutating func readCodeUnit() -> UInt16? {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = peek().flatMap(hexValue) else { return nil }
            unit = unit << 4 | UInt16(digit)
            index += 1
        }
        return unit
    }

    private mutating func readNumber() -> JSONMembers.Value? {
        let start = index
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) {
            guard skipDigits() else { return nil }
        }
        let integer = index
        if take(UInt8(ascii: ".")) {
            guard skipDigits() else { return nil }
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            guard skipDigits() else { return nil }
        }
        let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<index]), as: UTF8.self)
        if index == integer, let exact = Int64(text) { return .number(Double(exact), exactly: exact) }
        guard let value = Double(text) else { return nil }
        // Beyond 2^53 a Double no longer tells which integer was written.
        return .number(value, exactly: value.magnitude <= 0x1p53 ? Int64(exactly: value) : nil)
    }

    private mutating func skipDigits() -> Bool {
        let start = index
        while let byte = peek(), UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte { index += 1 }
        return index > start
    }

    /// Finds the end of a container by its brackets, and then has the whole of it judged.
    private mutating func skipNested() -> Bool {
        let start = index
        var depth = 0
        var isInString = false
        while let byte = peek() {
            index += 1
            switch byte {
            case UInt8(ascii: "\\") where isInString: index += 1
            case UInt8(ascii: "\""): isInString.toggle()
            case _ where isInString: break
            case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                depth -= 1
                if depth == 0 { return JSONMessages(body: Array(bytes[start..<index])) != nil }
            default: break
            }
        }
        return false
    }

    private func peek() -> UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek() == byte else { return false }
        index += 1
        return true
    }

    private mutating func takeWord(_ word: StaticString) -> Bool {
        for offset in 0..<word.utf8CodeUnitCount {
            guard take(word.utf8Start[offset]) else { return false }
        }
        return true
    }
}
