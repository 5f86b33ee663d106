/// Any JSON document (RFC 8259) as a tree, for descriptions that this program makes itself: what is not JSON gives nil.
indirect enum JSONTree {
    case null
    case bool(Bool)
    case number(String)
    case string(String)
    case array([JSONTree])
    case object([String: JSONTree])

    init?(_ text: String) {
        var reader = Reader(bytes: Array(text.utf8))
        guard let value = reader.value(depth: 0) else { return nil }
        self = value
    }

    /// A member of an object.
    subscript(name: String) -> JSONTree? {
        if case .object(let members) = self { return members[name] }
        return nil
    }

    /// The elements of an array; none of anything else.
    var elements: [JSONTree] {
        if case .array(let elements) = self { return elements }
        return []
    }

    /// The text of a string.
    var text: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    /// Whether it is true.
    var isTrue: Bool {
        if case .bool(true) = self { return true }
        return false
    }

    private struct Reader {
        let bytes: [UInt8]
        var index = 0

        mutating func value(depth: Int) -> JSONTree? {
            guard depth < 64 else { return nil }
            skipSpace()
            switch peek {
            case UInt8(ascii: "{"): return object(depth: depth)
            case UInt8(ascii: "["): return array(depth: depth)
            case UInt8(ascii: "\""): return string().map { .string($0) }
            default: return word()
            }
        }

        private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

        private mutating func skipSpace() {
            while let byte = peek, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { index += 1 }
        }

        private mutating func take(_ character: Unicode.Scalar) -> Bool {
            skipSpace()
            guard peek == UInt8(ascii: character) else { return false }
            index += 1
            return true
        }

        private mutating func object(depth: Int) -> JSONTree? {
            var members: [String: JSONTree] = [:]
            guard take("{") else { return nil }
            if take("}") { return .object(members) }
            repeat {
                skipSpace()
                guard let name = string(), take(":"), let value = self.value(depth: depth + 1) else {
                    return nil
                }
                members[name] = value
            } while take(",")
            return take("}") ? .object(members) : nil
        }

        private mutating func array(depth: Int) -> JSONTree? {
            var elements: [JSONTree] = []
            guard take("[") else { return nil }
            if take("]") { return .array(elements) }
            repeat {
                guard let value = self.value(depth: depth + 1) else { return nil }
                elements.append(value)
            } while take(",")
            return take("]") ? .array(elements) : nil
        }

        private mutating func word() -> JSONTree? {
            let start = index
            while let byte = peek, ![0x2C, 0x5D, 0x7D, 0x20, 0x0A, 0x0D, 0x09].contains(byte) { index += 1 }
            switch String(decoding: bytes[start..<index], as: UTF8.self) {
            case "": return nil
            case "null": return .null
            case "true": return .bool(true)
            case "false": return .bool(false)
            case let number: return .number(number)
            }
        }

        private mutating func string() -> String? {
            guard peek == UInt8(ascii: "\"") else { return nil }
            index += 1
            var text: [UInt8] = []
            while let byte = peek {
                index += 1
                if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
                guard byte == UInt8(ascii: "\\") else {
                    text.append(byte)
                    continue
                }
                guard let escape = peek else { return nil }
                index += 1
                switch escape {
                case UInt8(ascii: "n"): text.append(0x0A)
                case UInt8(ascii: "t"): text.append(0x09)
                case UInt8(ascii: "r"): text.append(0x0D)
                case UInt8(ascii: "u"):
                    guard index + 4 <= bytes.count,
                        let code = UInt32(
                            String(decoding: bytes[index..<index + 4], as: UTF8.self), radix: 16),
                        let scalar = Unicode.Scalar(code)
                    else { return nil }
                    index += 4
                    text += Array(String(Character(scalar)).utf8)
                default: text.append(escape)
                }
            }
            return nil
        }
    }
}
