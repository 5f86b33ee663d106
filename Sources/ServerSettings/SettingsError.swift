/// Why the settings could not be loaded. Its description is one line that names the key, the value, where the
/// value came from and what is accepted.
public enum SettingsError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A known key has a value outside its grammar or range.
    case malformed(key: String, value: String, origin: String, accepted: String)
    /// No setting has this name.
    case unknown(name: String, value: String, origin: String, known: [String])
    /// A flag is the last argument, or an argument is not a flag.
    case badArgument(argument: String, reason: String)
    /// The settings file can't be read or is not a YAML mapping.
    case badFile(path: String, origin: String, reason: String)

    /// Settings that are each fine, and together are not.
    case contradiction(String)

    /// The exit status of a process that can't load its settings: `EX_CONFIG` of sysexits.h.
    public static let exitStatus: Int32 = 78

    /// Whether a file or the environment names something that is no setting.
    public var isUnknownName: Bool {
        if case .unknown(let name, _, _, _) = self { return !name.hasPrefix("-") }
        return false
    }

    /// One line, without a line break.
    public var description: String {
        switch self {
        case .malformed(let key, let value, let origin, let accepted):
            "setting \(key): \(quoted(value)) from \(origin) is not accepted; give \(accepted)"
        case .unknown(let name, let value, let origin, let known):
            "unknown setting \(name) with value \(quoted(value)) in \(origin); known are "
                + known.joined(separator: ", ")
        case .badArgument(let argument, let reason):
            "argument \(quoted(argument)): \(reason)"
        case .badFile(let path, let origin, let reason):
            "settings file \(quoted(path)) from \(origin): \(oneLine(reason))"
        case .contradiction(let words): words
        }
    }

    /// Line breaks and other control characters are escaped, so that an error stays one line.
    private func quoted(_ text: String) -> String {
        text.count > Self.longestQuote
            ? String(text.prefix(Self.longestQuote)).debugDescription + "…" : text.debugDescription
    }

    private static let longestQuote = 200
    private static let longestReason = 600

    private func oneLine(_ text: String) -> String {
        let line = text.split(whereSeparator: \.isNewline)
            .map { line in line.drop { $0 == " " } }
            .joined(separator: " ")
        return line.count > Self.longestReason ? String(line.prefix(Self.longestReason)) + "…" : line
    }
}
