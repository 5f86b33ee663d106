/// Flags of the form `--name value` or `--name=value`; of a repeated flag the last counts.
struct SettingFlags {
    /// Texts by ``SettingKey/name``.
    private(set) var values: [String: String] = [:]
    /// The path given with `--config`.
    private(set) var config: String?

    init(_ arguments: [String]) throws(SettingsError) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("--"), argument.count > 2 else {
                throw .badArgument(argument: argument, reason: "settings are given as --name value")
            }
            let equals = argument.firstIndex(of: "=")
            let flag = String(argument[..<(equals ?? argument.endIndex)])
            let inline = equals.map { String(argument[argument.index(after: $0)...]) }
            let key = SettingKey.all.first { $0.flag == flag }
            guard key != nil || flag == SettingKey.configFlag else {
                throw .unknown(
                    name: flag, value: inline ?? rest.first ?? "", origin: "the command line",
                    known: SettingKey.all.map(\.flag) + [SettingKey.configFlag])
            }
            guard let text = inline ?? rest.popFirst() else {
                throw .badArgument(argument: argument, reason: "a value must follow this flag")
            }
            if let key { values[key.name] = text } else { config = text }
        }
    }
}
