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
        let report = report(arguments: arguments, environment: environment)
        if let first = report.problems.first { throw first }
        return report.settings
    }

    /// What ``load(arguments:environment:)`` would find, to its end.
    ///
    /// - Returns: the settings, in which a value that is not accepted counts as not given, and everything that is
    ///   wrong: none of it when they can be used.
    public static func report(
        arguments: [String], environment: [String: String]
    ) -> (settings: Settings, problems: [SettingsError]) {
        var problems: [SettingsError] = []
        let flags = SettingFlags(arguments, &problems)
        var sources = [SettingSource.flags(flags), .environment(environment, &problems)]
        if let path = flags.config {
            sources += SettingsFile.source(path: path, origin: "flag \(SettingKey.configFlag)", &problems)
        } else if let path = environment[SettingKey.configEnvironmentName], !path.isEmpty {
            sources += SettingsFile.source(
                path: path, origin: "environment variable \(SettingKey.configEnvironmentName)", &problems)
        }
        return (resolved(from: sources, &problems), problems)
    }

    /// - Parameter sources: strongest first.
    static func resolved(from sources: [SettingSource], _ problems: inout [SettingsError]) -> Settings {
        var settings = Settings(neutralListen: .neutral)
        for key in SettingKey.all {
            key.apply(key.defaultText, origin: "the built-in default", to: &settings, &problems)
            for source in sources.reversed() {
                do throws(SettingsError) {
                    guard let text = try source.text(for: key) else { continue }
                    key.apply(text, origin: source.origin(key), to: &settings, &problems)
                } catch {
                    problems.append(error)
                }
            }
        }
        return settings
    }
}

extension SettingKey {
    fileprivate func apply(
        _ text: String, origin: String, to settings: inout Settings, _ problems: inout [SettingsError]
    ) {
        guard !value.set(&settings, text) else { return }
        problems.append(.malformed(key: name, value: text, origin: origin, accepted: accepted))
    }
}
