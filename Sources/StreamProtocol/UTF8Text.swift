/// UTF-8 boundaries in text that may hold anything (RFC 3629; PROTOCOL sections 10.2 and 10.3).
public enum UTF8Text {
    /// Length of the valid sequence that starts at `index`: 1…4, or 0 when none does.
    static func sequenceLength(in bytes: UnsafeBufferPointer<UInt8>, at index: Int) -> Int {
        let (length, valid) = inspect(bytes, index)
        return valid ? length : 0
    }

    /// How many bytes at the end are the beginning of a sequence that more bytes could complete: 0…3.
    public static func incompleteTail(of bytes: ArraySlice<UInt8>) -> Int {
        bytes.withUnsafeBufferPointer { buffer in
            for back in 1...3 where back <= buffer.count {
                let index = buffer.count - back
                let byte = buffer[index]
                if byte & 0xC0 == 0x80 { continue }
                guard expectedLength(byte) > back else { return 0 }
                // The bytes at hand must be a prefix of some valid sequence.
                let (length, _) = inspect(buffer, index)
                return length == back ? back : 0
            }
            return 0
        }
    }

    /// The number of bytes that belong together at `index` and whether they are a whole, valid sequence.
    /// An invalid start counts as one byte; a truncated sequence as what is there of it.
    private static func inspect(_ bytes: UnsafeBufferPointer<UInt8>, _ index: Int) -> (Int, Bool) {
        let first = bytes[index]
        let expected = expectedLength(first)
        guard expected > 1 else { return (1, first < 0x80) }
        var length = 1
        while length < expected, index + length < bytes.count {
            let byte = bytes[index + length]
            var range: ClosedRange<UInt8> = 0x80...0xBF
            if length == 1 {
                switch first {
                case 0xE0: range = 0xA0...0xBF
                case 0xED: range = 0x80...0x9F
                case 0xF0: range = 0x90...0xBF
                case 0xF4: range = 0x80...0x8F
                default: break
                }
            }
            guard range.contains(byte) else { return (length, false) }
            length += 1
        }
        return (length, length == expected)
    }

    private static func expectedLength(_ first: UInt8) -> Int {
        switch first {
        case 0..<0x80: 1
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: 0
        }
    }
}
