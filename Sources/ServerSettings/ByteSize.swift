/// The grammar of sizes: plain bytes, or a whole number with `KiB`, `MiB`, `GiB` or `TiB`.
public enum ByteSize {
    private static let units: [(suffix: String, bytes: Int)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
    ]

    /// The number of bytes, or nil for anything outside the grammar (signs, spaces, fractions, `MB`, overflow).
    public static func parse(_ text: String) -> Int? {
        for unit in units where text.hasSuffix(unit.suffix) {
            guard let count = WholeNumber.parse(String(text.dropLast(unit.suffix.count))) else { return nil }
            let (bytes, overflow) = count.multipliedReportingOverflow(by: unit.bytes)
            return overflow ? nil : bytes
        }
        return WholeNumber.parse(text)
    }

    /// The shortest exact notation: `16MiB`, or plain bytes when no unit divides the number.
    public static func format(_ bytes: Int) -> String {
        for unit in units where bytes > 0 && bytes.isMultiple(of: unit.bytes) {
            return "\(bytes / unit.bytes)\(unit.suffix)"
        }
        return "\(bytes)"
    }
}

/// Unsigned decimal digits, nothing else: `Int("+5")` would accept a sign.
enum WholeNumber {
    static func parse(_ text: String) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
        return Int(text)
    }
}

/// Seconds as decimal digits with an optional fraction. `Double` alone would accept `inf`, `nan` and `0x1p3`.
package enum Seconds {
    package static func parse(_ text: String) -> Double? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ WholeNumber.parse(String($0)) != nil }) else { return nil }
        return Double(text)
    }

    package static func format(_ seconds: Double) -> String {
        guard seconds == seconds.rounded(), seconds.magnitude < 1e15 else { return "\(seconds)" }
        return "\(Int(seconds))"
    }
}
