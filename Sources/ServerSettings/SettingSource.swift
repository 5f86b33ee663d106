import Configuration

/// One place that settings come from: strings by key, and words that say where a key was found.
///
/// Only strings are read from the providers: their typed lookups answer a malformed number with the default or
/// with an error that names neither the value nor its origin.
struct SettingSource {
    let snapshot: any ConfigSnapshot
    /// The provider's key for a row of the table.
    let providerKey: (SettingKey) -> AbsoluteConfigKey
    /// Completes "from …" in an error.
    let origin: (SettingKey) -> String

    /// The text of `key`, or nil when this source doesn't have it.
    func text(for key: SettingKey) throws(SettingsError) -> String? {
        do {
            guard let value = try snapshot.value(forKey: providerKey(key), type: .string).value else {
                return nil
            }
            if case .string(let text) = value.content { return text }
        } catch {
            // The provider throws for a value that is not a scalar, such as a YAML list.
        }
        throw .malformed(key: key.name, value: "a list", origin: origin(key), accepted: key.accepted)
    }

    /// The `DS_*` variables; one that is not in the table is a problem.
    static func environment(
        _ variables: [String: String], _ problems: inout [SettingsError]
    ) -> SettingSource {
        let known = SettingKey.all.map(\.environmentName) + [SettingKey.configEnvironmentName]
        var ours = variables.filter {
            $0.key.hasPrefix("DS_") && !SettingKey.clientEnvironmentNames.contains($0.key)
        }
        for name in ours.keys.sorted() where !known.contains(name) {
            problems.append(
                .unknown(name: name, value: ours[name] ?? "", origin: "the environment", known: known))
        }
        var borrowed: Set<String> = []
        for (name, plain) in plainNames where ours[name] == nil {
            guard let text = variables[plain], !text.isEmpty else { continue }
            // Others write these in capitals, or as 1 and 0.
            ours[name] = ["1": "true", "0": "false"][text] ?? text.lowercased()
            borrowed.insert(name)
        }
        return SettingSource(
            snapshot: EnvironmentVariablesProvider(environmentVariables: ours).snapshot(),
            providerKey: { AbsoluteConfigKey([$0.environmentName]) },
            origin: { [borrowed] key in
                let name = key.environmentName
                let plain = borrowed.contains(name) ? plainNames[name] : nil
                return "environment variable \(plain ?? name)"
            })
    }

    /// Variables by which other programs set the same; they count where ours are missing.
    private static let plainNames = ["DS_LOG_LEVEL": "LOG_LEVEL", "DS_DEBUG_TIMING": "DEBUG_TIMING"]

    /// The flags that ``SettingFlags`` parsed.
    static func flags(_ flags: SettingFlags) -> SettingSource {
        let values = flags.values.map { name, text in
            (AbsoluteConfigKey([name]), ConfigValue(.string(text), isSecret: false))
        }
        let provider = InMemoryProvider(values: Dictionary(uniqueKeysWithValues: values))
        return SettingSource(
            snapshot: provider.snapshot(), providerKey: { AbsoluteConfigKey([$0.name]) },
            origin: { "flag \($0.flag)" })
    }
}
