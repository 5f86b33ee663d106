import Configuration
import Glibc
import Synchronization

/// A YAML file of settings: one mapping with the keys of the table.
enum SettingsFile {
    /// - Parameters:
    ///   - path: the file, relative to the working directory if not absolute.
    ///   - origin: who named the file, for errors.
    ///   - problems: gets `badFile` when it can't be read or parsed, and `unknown` for each key that is not in the
    ///     table.
    /// - Returns: the source, or none when nothing could be taken from the file.
    static func source(path: String, origin: String, _ problems: inout [SettingsError]) -> [SettingSource] {
        let bytes: [UInt8]
        do throws(SmallFile.Failure) {
            bytes = try SmallFile.read(path, most: SettingsText.longest)
        } catch {
            problems.append(.badFile(path: path, origin: origin, reason: error.description))
            return []
        }
        if let reason = SettingsText.objection(to: bytes, isFile: isRegular(path)) {
            problems.append(.badFile(path: path, origin: origin, reason: reason))
            return []
        }
        let keys = KeyList()
        let snapshot: any ConfigSnapshot
        do {
            snapshot = try parse(bytes, keys: keys)
        } catch {
            problems.append(.badFile(path: path, origin: origin, reason: "\(error)"))
            return []
        }
        for name in keys.sorted where !SettingKey.all.contains(where: { $0.name == name }) {
            problems.append(stranger(name, in: snapshot, path: path))
        }
        return [
            SettingSource(
                snapshot: snapshot, providerKey: { AbsoluteConfigKey([$0.name]) },
                origin: { place($0.name, path) })
        ]
    }

    private static func place(_ name: String, _ path: String) -> String {
        "key \(name) of settings file \(path)"
    }

    /// What is wrong about a key that is not in the table.
    private static func stranger(
        _ name: String, in snapshot: any ConfigSnapshot, path: String
    ) -> SettingsError {
        if let key = SettingKey.all.first(where: { name.hasPrefix($0.name + ".") }) {
            return .malformed(
                key: key.name, value: "a mapping", origin: place(key.name, path), accepted: key.accepted)
        }
        let value = try? snapshot.value(forKey: AbsoluteConfigKey([name]), type: .string).value
        var text = ""
        if case .string(let found)? = value?.content { text = found }
        return .unknown(
            name: name, value: text, origin: "settings file \(path)", known: SettingKey.all.map(\.name))
    }

    private static func isRegular(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
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
