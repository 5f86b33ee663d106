/// Where nginx writes a line for each request.
public enum RequestLog: Sendable, Equatable, CustomStringConvertible {
    case off
    /// Where the server itself writes.
    case standardOutput
    /// An absolute path.
    case file(String)

    static let grammar =
        "off, stdout, or an absolute path without white space, control characters or any of "
        + AbsolutePath.refusedCharacters

    /// Reads a setting. A name that is no path is refused, rather than taken for a file in the working directory.
    init?(_ text: String) {
        switch text {
        case "off": self = .off
        case "stdout": self = .standardOutput
        default:
            guard text.hasPrefix("/"), !text.hasSuffix("/"), let path = AbsolutePath.make(text) else {
                return nil
            }
            self = .file(path)
        }
    }

    /// As the setting is written.
    public var description: String {
        switch self {
        case .off: "off"
        case .standardOutput: "stdout"
        case .file(let path): path
        }
    }
}
