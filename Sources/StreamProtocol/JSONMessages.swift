/// The messages of a JSON body: validated by RFC 8259, then kept as the bytes they came as
/// (PROTOCOL section 5).
public struct JSONMessages: Equatable, Sendable {
    /// The messages joined by `,`: exactly what stands between the brackets of a read.
    public let payload: [UInt8]
    /// Where each message ends in `payload`; empty for the empty array.
    public let ends: [Int]

    /// Deepest nesting of a body, its outermost array included.
    public static let maximumDepth = 512

    /// How many messages there are.
    public var count: Int { ends.count }

    /// Validates a body. An array gives its elements (one level is opened), any other value itself.
    ///
    /// - Returns: nil when the body is not one JSON value in UTF-8, or is nested deeper than
    ///   `maximumDepth`.
    public init?(body: [UInt8]) {
        var ranges: [Range<Int>] = []
        let valid = body.withUnsafeBufferPointer { bytes in
            var scanner = JSONScanner(bytes: bytes)
            return scanner.scanDocument(into: &ranges)
        }
        guard valid else { return nil }
        var payload: [UInt8] = []
        payload.reserveCapacity(body.count)
        var ends: [Int] = []
        ends.reserveCapacity(ranges.count)
        for range in ranges {
            if !ends.isEmpty { payload.append(UInt8(ascii: ",")) }
            payload.append(contentsOf: body[range])
            ends.append(payload.count)
        }
        self.payload = payload
        self.ends = ends
    }
}

/// A validating pass over one JSON document. It never recurses: open containers are kept in a stack of
/// bounded size, so a hostile body costs no more than its length.
struct JSONScanner {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var index = 0

    init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// Scans the whole document and gives the ranges of its messages.
    mutating func scanDocument(into ranges: inout [Range<Int>]) -> Bool {
        skipWhitespace()
        guard index < bytes.count else { return false }
        if bytes[index] == UInt8(ascii: "[") {
            guard scanElements(into: &ranges) else { return false }
        } else {
            let start = index
            guard scanValue(depth: 0) else { return false }
            ranges.append(start..<index)
        }
        skipWhitespace()
        return index == bytes.count
    }

    private mutating func scanElements(into ranges: inout [Range<Int>]) -> Bool {
        index += 1
        skipWhitespace()
        if take(UInt8(ascii: "]")) { return true }
        while true {
            skipWhitespace()
            let start = index
            guard scanValue(depth: 1) else { return false }
            ranges.append(start..<index)
            skipWhitespace()
            if take(UInt8(ascii: ",")) { continue }
            return take(UInt8(ascii: "]"))
        }
    }

    /// Scans one value, `depth` levels below the document's top.
    private mutating func scanValue(depth: Int) -> Bool {
        guard index < bytes.count else { return false }
        switch bytes[index] {
        case UInt8(ascii: "["), UInt8(ascii: "{"): return scanContainer(depth: depth)
        default: return scanScalar()
        }
    }

    private mutating func scanContainer(depth: Int) -> Bool {
        let room = JSONMessages.maximumDepth - depth
        guard room > 0 else { return false }
        return withUnsafeTemporaryAllocation(of: Bool.self, capacity: room) { isObject in
            var level = 0
            isObject[0] = bytes[index] == UInt8(ascii: "{")
            index += 1
            var first = true
            while true {
                skipWhitespace()
                let close = isObject[level] ? UInt8(ascii: "}") : UInt8(ascii: "]")
                // A container may close where a first member could begin, or behind a member.
                if first, take(close) {
                    if level == 0 { return true }
                    level -= 1
                } else {
                    if isObject[level] {
                        guard scanString() else { return false }
                        skipWhitespace()
                        guard take(UInt8(ascii: ":")) else { return false }
                        skipWhitespace()
                    }
                    guard index < bytes.count else { return false }
                    let byte = bytes[index]
                    if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") {
                        level += 1
                        guard level < room else { return false }
                        isObject[level] = byte == UInt8(ascii: "{")
                        index += 1
                        first = true
                        continue
                    }
                    guard scanScalar() else { return false }
                }
                // Behind a value: close as many containers as end here, or go on to the next member.
                while true {
                    skipWhitespace()
                    if take(isObject[level] ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                        if level == 0 { return true }
                        level -= 1
                        continue
                    }
                    guard take(UInt8(ascii: ",")) else { return false }
                    first = false
                    break
                }
            }
        }
    }

    private mutating func scanScalar() -> Bool {
        guard index < bytes.count else { return false }
        switch bytes[index] {
        case UInt8(ascii: "\""): return scanString()
        case UInt8(ascii: "t"): return takeWord("true")
        case UInt8(ascii: "f"): return takeWord("false")
        case UInt8(ascii: "n"): return takeWord("null")
        default: return scanNumber()
        }
    }

    private mutating func scanNumber() -> Bool {
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) {
            guard scanDigits() else { return false }
        }
        if take(UInt8(ascii: ".")) {
            guard scanDigits() else { return false }
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            guard scanDigits() else { return false }
        }
        return true
    }

    private mutating func scanDigits() -> Bool {
        let start = index
        while index < bytes.count, decimalDigit(bytes[index]) != nil { index += 1 }
        return index > start
    }

    private mutating func scanString() -> Bool {
        guard take(UInt8(ascii: "\"")) else { return false }
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return true
            case UInt8(ascii: "\\"):
                index += 1
                guard scanEscape() else { return false }
            case 0..<0x20: return false
            case 0x80...:
                let length = UTF8Text.sequenceLength(in: bytes, at: index)
                guard length > 0 else { return false }
                index += length
            default: index += 1
            }
        }
        return false
    }

    private mutating func scanEscape() -> Bool {
        guard index < bytes.count else { return false }
        switch bytes[index] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            index += 1
            return true
        case UInt8(ascii: "u"):
            guard index + 4 < bytes.count else { return false }
            for offset in 1...4 where hexDigit(bytes[index + offset]) == nil { return false }
            index += 5
            return true
        default: return false
        }
    }

    private mutating func skipWhitespace() {
        while index < bytes.count {
            switch bytes[index] {
            case 0x20, 0x09, 0x0A, 0x0D: index += 1
            default: return
            }
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard index < bytes.count, bytes[index] == byte else { return false }
        index += 1
        return true
    }

    private mutating func takeWord(_ word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        guard index + count <= bytes.count else { return false }
        for offset in 0..<count where bytes[index + offset] != word.utf8Start[offset] { return false }
        index += count
        return true
    }
}
