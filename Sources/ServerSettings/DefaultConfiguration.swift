/// The settings file with every key, its default and what it is for: `Config/durable-streams.yaml`.
public enum DefaultConfiguration {
    private static let width = 120

    private static let head = """
        Settings of Durable Streams for nginx. Every key is here with its default; without this file the same \
        defaults hold. Use it with `durable-streams serve --config PATH` or the variable DS_CONFIG; \
        `durable-streams check-config --config PATH` tells whether a server would take it.

        A flag (--long-poll-timeout 20) wins over a variable (DS_LONG_POLL_TIMEOUT=20), which wins over this file. \
        An unknown key or a malformed value stops the start with one line on standard error and exit status 78. \
        Sizes are plain bytes or a whole number with KiB, MiB, GiB or TiB. Durations are seconds, fractions allowed.
        """

    /// The whole file.
    public static var text: String {
        let head = head.split(separator: "\n", omittingEmptySubsequences: false).flatMap { paragraph in
            paragraph.isEmpty ? ["#"] : lines(String(paragraph))
        }
        let blocks = SettingKey.all.map { key in
            (lines("Unit: \(key.unitAndRange). \(key.notes)") + ["\(key.name): \(scalar(key.defaultText))"])
        }
        return ([head] + blocks).map { $0.joined(separator: "\n") + "\n" }.joined(separator: "\n")
    }

    /// A default as YAML that reads as this text. Those of the table need quotes only where they are empty or begin or
    /// go on with what has a meaning in YAML.
    private static func scalar(_ text: String) -> String {
        let isPlain =
            text.utf8.first.map { !"-?:,[]{}#&*!|>'\"%@` ".utf8.contains($0) } ?? false
            && !text.contains(": ") && !text.contains(" #")
        return isPlain ? text : "\"\(text)\""
    }

    /// A paragraph as comment lines.
    private static func lines(_ paragraph: String) -> [String] {
        var lines: [String] = []
        var line = "#"
        for word in paragraph.split(separator: " ") {
            if line.count + 1 + word.count > width, line != "#" {
                lines.append(line)
                line = "#"
            }
            line += " " + word
        }
        return lines + [line]
    }
}
