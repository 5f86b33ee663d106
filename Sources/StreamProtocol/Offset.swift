/// A position in a stream, together with the incarnation it belongs to (PROTOCOL section 2.2).
///
/// The text form is two groups of 16 decimal digits joined by `_`, 33 bytes, so that comparing two
/// tokens of one stream byte by byte gives stream order.
public struct Offset: Equatable, Hashable, Sendable {
    /// Number of the stream's incarnation, 1 or more; 0 in a request stands for any incarnation.
    public var incarnation: Int64
    /// Messages (JSON streams) or bytes (all others) that lie before this offset.
    public var position: Int64

    /// The largest number that fits into either group.
    public static let maximum: Int64 = 9_999_999_999_999_999
    /// Length of the text form in bytes.
    public static let textLength = 33

    /// Joins an incarnation and a position, both 0…`maximum`.
    public init(incarnation: Int64, position: Int64) {
        self.incarnation = incarnation
        self.position = position
    }

    /// Reads the 33-byte text form; anything else gives nil.
    public init?(_ text: some Collection<UInt8>) {
        guard text.count == Offset.textLength else { return nil }
        var groups: (Int64, Int64) = (0, 0)
        for (index, byte) in text.enumerated() {
            if index == 16 {
                guard byte == UInt8(ascii: "_") else { return nil }
                continue
            }
            guard let digit = decimalDigit(byte) else { return nil }
            if index < 16 {
                groups.0 = groups.0 * 10 + digit
            } else {
                groups.1 = groups.1 * 10 + digit
            }
        }
        self.init(incarnation: groups.0, position: groups.1)
    }

    /// The same of bytes in memory, as each read has them.
    init?(_ text: UnsafeBufferPointer<UInt8>) {
        guard text.count == Offset.textLength, text[16] == UInt8(ascii: "_"),
            let incarnation = Offset.group(text, 0), let position = Offset.group(text, 17)
        else { return nil }
        self.init(incarnation: incarnation, position: position)
    }

    private static func group(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int64? {
        var number: Int64 = 0
        for index in start..<(start + 16) {
            let digit = text[index] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            // Sixteen digits fit.
            number = number &* 10 &+ Int64(digit)
        }
        return number
    }

    /// Whether this names the start of any stream: all zeros.
    public var isZero: Bool { incarnation == 0 && position == 0 }

    /// The text form, as bytes behind what `bytes` holds already.
    public func write(to bytes: inout [UInt8]) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Offset.textLength) { buffer in
            Offset.write(incarnation, to: buffer, endingAt: 15)
            buffer[16] = UInt8(ascii: "_")
            Offset.write(position, to: buffer, endingAt: 32)
            bytes.append(contentsOf: buffer)
        }
    }

    /// The text form.
    public var text: String {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func write(
        _ number: Int64, to buffer: UnsafeMutableBufferPointer<UInt8>, endingAt end: Int
    ) {
        var rest = UInt64(truncatingIfNeeded: number)
        var index = end
        // Most numbers are short.
        while rest > 0, index > end - 16 {
            buffer[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
            index -= 1
        }
        while index > end - 16 {
            buffer[index] = UInt8(ascii: "0")
            index -= 1
        }
    }
}

/// What the `offset` parameter of a read asks for (PROTOCOL section 2.3).
public enum RequestedOffset: Equatable, Sendable {
    /// The start of the stream: the parameter is absent, `-1`, or all zeros.
    case start
    /// The tail at the time the request is processed.
    case now
    /// A position named by a token.
    case token(Offset)

    /// Reads a decoded parameter value; nil when it is malformed.
    public init?(value: some Collection<UInt8>) {
        if value.elementsEqual("-1".utf8) {
            self = .start
        } else if value.elementsEqual("now".utf8) {
            self = .now
        } else if let offset = Offset(value) {
            self = offset.isZero ? .start : .token(offset)
        } else {
            return nil
        }
    }
}

/// The value of an ASCII digit, or nil.
@inline(__always)
func decimalDigit(_ byte: UInt8) -> Int64? {
    guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
    return Int64(byte - UInt8(ascii: "0"))
}
