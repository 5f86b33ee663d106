/// base64url without padding (RFC 4648 section 5, RFC 7515 section 2), in both directions.
package enum Base64URL {
    private static let alphabet: StaticString =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    /// The text of some bytes.
    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count * 4 + 2) / 3)
        let digits = alphabet.utf8Start
        var pending: UInt32 = 0
        var bits: UInt32 = 0
        for byte in bytes {
            pending = pending << 8 | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(digits[Int(pending >> bits & 0x3F)])
            }
        }
        if bits > 0 { text.append(digits[Int(pending << (6 - bits) & 0x3F)]) }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of a text, which must be what `encode` would give: no padding, no other characters, and
    /// zeros in the bits that are left over. Otherwise nil.
    package static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        let contiguous = text.withContiguousStorageIfAvailable { decode(buffer: $0) }
        return contiguous ?? Array(text).withUnsafeBufferPointer { decode(buffer: $0) }
    }

    private static func decode(buffer: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        guard let count = decodedCount(buffer.count) else { return nil }
        var valid = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { output, initialized in
            valid = decode(buffer, into: output)
            initialized = valid ? count : 0
        }
        return valid ? bytes : nil
    }

    /// How many bytes a text of this length holds; nil when no text is that long.
    static func decodedCount(_ length: Int) -> Int? {
        let rest = length % 4
        return rest == 1 ? nil : length / 4 * 3 + (rest == 0 ? 0 : rest - 1)
    }

    /// Writes the bytes of a text; false when it is none.
    ///
    /// - Parameter output: has room for `decodedCount` bytes at least.
    static func decode(
        _ text: UnsafeBufferPointer<UInt8>, into output: UnsafeMutableBufferPointer<UInt8>
    ) -> Bool {
        guard let count = decodedCount(text.count), output.count >= count else { return false }
        // Bad characters have their upper bits set, and one look at the end finds them.
        var seen: UInt8 = 0
        var read = 0
        var written = 0
        while read + 4 <= text.count {
            let (first, second) = (value(text[read]), value(text[read + 1]))
            let (third, fourth) = (value(text[read + 2]), value(text[read + 3]))
            seen |= first | second | third | fourth
            output[written] = first << 2 | second >> 4
            output[written + 1] = second << 4 | third >> 2
            output[written + 2] = third << 6 | fourth
            read += 4
            written += 3
        }
        if read < text.count {
            let (first, second) = (value(text[read]), value(text[read + 1]))
            seen |= first | second
            output[written] = first << 2 | second >> 4
            if text.count - read == 3 {
                let third = value(text[read + 2])
                seen |= third
                output[written + 1] = second << 4 | third >> 2
                guard third & 0x03 == 0 else { return false }
            } else {
                guard second & 0x0F == 0 else { return false }
            }
        }
        return seen & 0xC0 == 0
    }

    /// The value of a digit, or 0xFF.
    @inline(__always)
    private static func value(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0") + 52
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        default: 0xFF
        }
    }
}
