import ServerSettings

/// Help about settings, derived from their table.
enum SettingsHelp {
    static var text: String {
        var lines = [
            "Settings come from flags, else from DS_* variables, else from a YAML file "
                + "(\(SettingKey.configFlag) PATH or \(SettingKey.configEnvironmentName)), else from the defaults:",
            "",
        ]
        for key in SettingKey.all {
            let value = key.defaultText.isEmpty ? "none" : key.defaultText
            lines.append("\(key.flag) <\(key.unit)>, \(key.environmentName), default: \(value)")
            lines.append("    \(key.reason)")
        }
        return lines.joined(separator: "\n")
    }
}
