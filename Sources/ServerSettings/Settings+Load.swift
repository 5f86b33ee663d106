extension Settings {
    /// Resolves the settings: a flag wins over a `DS_*` variable, which wins over the settings file, which wins over
    /// the default. The file is named by `--config`, else by `DS_CONFIG`, else there is none.
    ///
    /// - Parameters:
    ///   - arguments: flags such as `--listen 127.0.0.1:4437`, without the program's name.
    ///   - environment: all variables of the process; those that don't start with `DS_` are ignored.
    /// - Throws: ``SettingsError`` for the first unknown name or malformed value; also for a malformed value that a
    ///   stronger source overrides, since it would surface the day the stronger one is gone.
    public static func load(
        arguments: [String], environment: [String: String]
    ) throws(SettingsError) -> Settings {
        let flags = try SettingFlags(arguments)
        var sources = [SettingSource.flags(flags), try SettingSource.environment(environment)]
        if let path = flags.config {
            sources.append(try SettingsFile.source(path: path, origin: "flag \(SettingKey.configFlag)"))
        } else if let path = environment[SettingKey.configEnvironmentName], !path.isEmpty {
            sources.append(
                try SettingsFile.source(
                    path: path, origin: "environment variable \(SettingKey.configEnvironmentName)"))
        }
        return try resolved(from: sources)
    }

    /// - Parameter sources: strongest first.
    static func resolved(from sources: [SettingSource]) throws(SettingsError) -> Settings {
        guard let listen = ListenAddress("127.0.0.1:1") else {
            throw .badArgument(argument: "127.0.0.1:1", reason: "the neutral address does not parse")
        }
        var settings = Settings(neutralListen: listen)
        for key in SettingKey.all {
            try key.apply(key.defaultText, origin: "the built-in default", to: &settings)
            for source in sources.reversed() {
                guard let text = try source.text(for: key) else { continue }
                try key.apply(text, origin: source.origin(key), to: &settings)
            }
        }
        return settings
    }
}

extension SettingKey {
    fileprivate func apply(
        _ text: String, origin: String, to settings: inout Settings
    ) throws(SettingsError) {
        guard value.set(&settings, text) else {
            throw .malformed(key: name, value: text, origin: origin, accepted: accepted)
        }
    }
}
