/// Looks at a settings file before the parser does: says in plain words what a parser would say in its own, and keeps
/// from it what could make it grow or recurse without bound.
enum SettingsText {
    /// The largest file, in bytes.
    static let longest = 1 << 20

    /// Levels of nesting; settings have one.
    private static let deepest = 32
    /// Brackets in the whole file.
    private static let mostBrackets = 1_000
    /// Columns in front of a line.
    private static let widest = 64

    /// - Parameter isFile: whether it is a regular file. An empty one is more likely damaged than meant, unlike
    ///   `/dev/null`.
    /// - Returns: what is wrong with it, or nil.
    static func objection(to bytes: [UInt8], isFile: Bool) -> String? {
        if bytes.count > longest { return "it is larger than \(ByteSize.format(longest))" }
        if isFile, bytes.allSatisfy(isSpace) {
            return "it is empty; a file that sets nothing has comments at least, as that of "
                + "`durable-streams default-config`"
        }
        // Whatever is quoted and what is not: so many levels a parser can take.
        if bytes.count(where: { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "{") }) > mostBrackets {
            return "it is nested too deeply; settings are one mapping of names to values"
        }
        var brackets = 0
        for (index, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            let number = index + 1
            if let byte = line.first(where: { $0 < 0x20 && $0 != 0x09 && $0 != 0x0D || $0 == 0x7F }) {
                return "line \(number) has the control character \(hexadecimal(byte)): it is no text file"
            }
            if String(validating: line, as: UTF8.self) == nil { return "line \(number) is not UTF-8" }
            var scan = LineScan(line[...])
            scan.run()
            if scan.isIndentedWithTab {
                return "line \(number) is indented with a tab; YAML takes spaces only"
            }
            if let alias = scan.alias {
                return "line \(number): \(alias) begins an anchor or alias, which settings do not have; "
                    + "put a value that begins so in quotes"
            }
            brackets += scan.brackets
            if brackets > deepest || scan.nested > deepest || scan.indentation > widest {
                return "line \(number) is nested too deeply; settings are one mapping of names to values"
            }
        }
        return nil
    }

    static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return "0x" + (digits.count < 2 ? "0" : "") + digits
    }
}

/// What one line of YAML has that matters for bounds. A quoted text over several lines is judged as if it ended with its
/// line, so it may be refused, but nothing is let through by that.
private struct LineScan {
    private(set) var indentation = 0
    private(set) var isIndentedWithTab = false
    /// `&` or `*` where a value begins.
    private(set) var alias: Character?
    /// Opening brackets and braces.
    private(set) var brackets = 0
    /// Marks of lists and complex keys at the beginning of the line.
    private(set) var nested = 0

    private let line: ArraySlice<UInt8>

    init(_ line: ArraySlice<UInt8>) { self.line = line }

    mutating func run() {
        let content = line.drop { $0 == 0x20 || $0 == 0x09 }
        guard let first = content.first, first != UInt8(ascii: "#"), first != 0x0D else { return }
        indentation = line.count - content.count
        isIndentedWithTab = line.prefix(indentation).contains(0x09)
        var quote: UInt8?
        var isEscaped = false
        var beginsValue = true
        var isAtMarks = true
        var previous: UInt8 = 0x20
        for byte in content {
            defer { previous = byte }
            if let open = quote {
                if byte == open, !isEscaped { quote = nil }
                isEscaped = !isEscaped && byte == UInt8(ascii: "\\") && open == UInt8(ascii: "\"")
                continue
            }
            switch byte {
            case 0x20, 0x09, 0x0D: continue
            case UInt8(ascii: "#") where previous == 0x20 || previous == 0x09: return
            case UInt8(ascii: "-") where isAtMarks, UInt8(ascii: "?") where isAtMarks: nested += 1
            case UInt8(ascii: "["), UInt8(ascii: "{"): brackets += 1
            case UInt8(ascii: "&") where beginsValue: alias = "&"
            case UInt8(ascii: "*") where beginsValue: alias = "*"
            case UInt8(ascii: "\"") where beginsValue, UInt8(ascii: "'") where beginsValue: quote = byte
            default: break
            }
            switch byte {
            case UInt8(ascii: "-"), UInt8(ascii: "?"): beginsValue = isAtMarks
            case UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: ","), UInt8(ascii: ":"):
                beginsValue = true
                isAtMarks = false
            default:
                beginsValue = false
                isAtMarks = false
            }
        }
    }
}
