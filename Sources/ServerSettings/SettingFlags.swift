/// Flags of the form `--name value` or `--name=value`; of a repeated flag the last counts.
struct SettingFlags {
    /// Texts by ``SettingKey/name``.
    private(set) var values: [String: String] = [:]
    /// The path given with `--config`.
    private(set) var config: String?

    init(_ arguments: [String], _ problems: inout [SettingsError]) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("--"), argument.count > 2 else {
                problems.append(
                    .badArgument(argument: argument, reason: "settings are given as --name value"))
                continue
            }
            let equals = argument.firstIndex(of: "=")
            let flag = String(argument[..<(equals ?? argument.endIndex)])
            let inline = equals.map { String(argument[argument.index(after: $0)...]) }
            let key = SettingKey.all.first { $0.flag == flag }
            guard key != nil || flag == SettingKey.configFlag else {
                problems.append(
                    .unknown(
                        name: flag, value: inline ?? rest.first ?? "", origin: "the command line",
                        known: SettingKey.all.map(\.flag) + [SettingKey.configFlag]))
                if inline == nil, let next = rest.first, !next.hasPrefix("--") { rest.removeFirst() }
                continue
            }
            guard let text = inline ?? rest.popFirst() else {
                problems.append(.badArgument(argument: argument, reason: "a value must follow this flag"))
                continue
            }
            if let key { values[key.name] = text } else { config = text }
        }
    }
}
