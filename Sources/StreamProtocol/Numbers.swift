/// The number grammars of request headers (PROTOCOL sections 4.1 and 8.1).
public enum NumberGrammar {
    /// The largest integer that every JSON and JavaScript client can hold: 2^53 − 1.
    public static let maximum: Int64 = 9_007_199_254_740_991

    /// `[0-9]+` with a value up to 2^53 − 1: `Producer-Epoch` and `Producer-Seq`. Leading zeros are
    /// allowed, signs and anything else are not.
    public static func digits(_ text: some StringProtocol) -> Int64? { value(text.utf8) }

    /// The same for the type that requests have, where the bytes lie side by side: without a witness call for each.
    public static func digits(_ text: String) -> Int64? {
        text.utf8.withContiguousStorageIfAvailable { value($0) } ?? value(text.utf8)
    }

    private static func value(_ bytes: some Collection<UInt8>) -> Int64? {
        guard !bytes.isEmpty else { return nil }
        var value: Int64 = 0
        for byte in bytes {
            guard let digit = decimalDigit(byte) else { return nil }
            value = value * 10 + digit
            guard value <= maximum else { return nil }
        }
        return value
    }

    /// `0` or `[1-9][0-9]*` with a value up to 2^53 − 1: `Stream-TTL`.
    public static func canonical(_ text: some StringProtocol) -> Int64? {
        if text.utf8.first == UInt8(ascii: "0"), text.utf8.count > 1 { return nil }
        return digits(text)
    }

    /// The same grammar without a bound, larger values counting as 2^53 − 1: `Stream-Fork-Sub-Offset`, where any
    /// such number leads beyond every stream.
    public static func canonicalUnbounded(_ text: some StringProtocol) -> Int64? {
        if text.utf8.first == UInt8(ascii: "0"), text.utf8.count > 1 { return nil }
        guard !text.isEmpty, text.utf8.allSatisfy({ decimalDigit($0) != nil }) else { return nil }
        return digits(text) ?? maximum
    }

    /// Whether a `Stream-Closed` value means true: `true` in any letter case. Every other value is as
    /// if the header were absent.
    public static func isTrue(_ text: some StringProtocol) -> Bool {
        let expected: StaticString = "true"
        guard text.utf8.count == 4 else { return false }
        return expected.withUTF8Buffer { expected in
            zip(text.utf8, expected).allSatisfy { $0 | 0x20 == $1 }
        }
    }
}
