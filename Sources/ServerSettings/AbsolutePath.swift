import Glibc

/// Makes paths absolute, and refuses characters that nginx's configuration would read as syntax.
enum AbsolutePath {
    /// Punctuation that ends or changes a word in nginx's configuration, or ends a `unix:` address.
    static let refusedCharacters = "; : { } \" ' \\ $ # @"

    /// The absolute form without `.`, doubled or trailing slashes; `..` stays, since symbolic links give it its
    /// meaning. Nil for a text that ``refusedCharacters`` rules out, and when the working directory is gone.
    static func make(_ text: String) -> String? {
        let refused = Set(refusedCharacters.unicodeScalars)
        guard !text.isEmpty,
            text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F && !refused.contains($0) })
        else { return nil }
        var full = text
        if !text.hasPrefix("/") {
            guard let directory = workingDirectory() else { return nil }
            full = directory + "/" + text
        }
        let components = full.split(separator: "/").filter { $0 != "." }
        return "/" + components.joined(separator: "/")
    }

    private static func workingDirectory() -> String? {
        guard let buffer = getcwd(nil, 0) else { return nil }
        defer { free(buffer) }
        return String(cString: buffer)
    }
}
