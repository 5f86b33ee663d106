import Configuration
import Synchronization

/// A YAML file of settings: one mapping with the keys of the table.
enum SettingsFile {
    /// - Parameters:
    ///   - path: the file, relative to the working directory if not absolute.
    ///   - origin: who named the file, for errors.
    /// - Throws: `badFile` when it can't be read or parsed, `unknown` for a key that is not in the table.
    static func source(path: String, origin: String) throws(SettingsError) -> SettingSource {
        let bytes: [UInt8]
        do throws(SmallFile.Failure) {
            bytes = try SmallFile.read(path)
        } catch {
            throw .badFile(path: path, origin: origin, reason: error.description)
        }
        let keys = KeyList()
        let snapshot: any ConfigSnapshot
        do {
            snapshot = try parse(bytes, keys: keys)
        } catch {
            throw .badFile(path: path, origin: origin, reason: "\(error)")
        }
        let known = SettingKey.all.map(\.name)
        for name in keys.sorted where !known.contains(name) {
            let value = try? snapshot.value(forKey: AbsoluteConfigKey([name]), type: .string).value
            var text = ""
            if case .string(let found)? = value?.content { text = found }
            throw .unknown(name: name, value: text, origin: "settings file \(path)", known: known)
        }
        return SettingSource(
            snapshot: snapshot, providerKey: { AbsoluteConfigKey([$0.name]) },
            origin: { "key \($0.name) of settings file \(path)" })
    }

    private static func parse(_ bytes: [UInt8], keys: KeyList) throws -> any ConfigSnapshot {
        // Comments alone are a valid file that sets nothing; the parser would report a missing mapping.
        let lines = bytes.split(separator: UInt8(ascii: "\n")).map { line in
            line.drop { $0 == 0x20 || $0 == 0x0D }
        }
        guard lines.contains(where: { $0.first != nil && $0.first != UInt8(ascii: "#") }) else {
            return InMemoryProvider(values: [:]).snapshot()
        }
        // A snapshot can't list its keys. It does ask this closure about each of them.
        let options = YAMLSnapshot.ParsingOptions(
            secretsSpecifier: .dynamic { key, _ in
                keys.append(key)
                return false
            })
        return try YAMLSnapshot(
            data: bytes.span.bytes, providerName: "settings file", parsingOptions: options)
    }

    private final class KeyList: Sendable {
        private let names = Mutex<[String]>([])

        func append(_ name: String) { names.withLock { $0.append(name) } }

        var sorted: [String] { names.withLock { $0.sorted() } }
    }
}
