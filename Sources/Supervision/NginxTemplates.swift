import Glibc
import ServerSettings

/// The `*.conf` files that become nginx's configuration once their `@NAME@` placeholders are replaced.
public struct NginxTemplates: Sendable {
    /// The directory they are in.
    public let directory: String

    /// The file that tells a directory of templates from any other directory named `nginx`.
    static let marker = "durable-streams-http.conf"

    private static let adminPrefix = "durable-streams-admin-"

    /// Finds the templates: the setting, else the `nginx` or `share/durable-streams/nginx` directory of the
    /// executable's directory or of one of its parents.
    ///
    /// - Throws: `configuration` when there are none.
    ///
    /// - Parameter executable: path of this program, which an upgrade may have replaced; nil: what runs.
    public static func find(
        settings: Settings, executable: String? = nil
    ) throws(SupervisionError) -> NginxTemplates {
        if let directory = settings.nginxTemplates {
            guard access("\(directory)/\(marker)", R_OK) == 0 else {
                throw SupervisionError(
                    .configuration, "nginx_templates: \(directory) has no readable \(marker)")
            }
            return NginxTemplates(directory: directory)
        }
        let executable = if let executable { executable } else { try Executables.current() }
        var ancestor = Executables.directory(of: executable)
        while true {
            let prefix = ancestor == "/" ? "" : ancestor
            for name in ["nginx", "share/durable-streams/nginx"] {
                let candidate = "\(prefix)/\(name)"
                if access("\(candidate)/\(marker)", R_OK) == 0 { return NginxTemplates(directory: candidate) }
            }
            guard ancestor != "/" else { break }
            ancestor = Executables.directory(of: ancestor)
        }
        throw SupervisionError(
            .configuration,
            "no nginx/\(marker) beside \(executable) or above it; name its directory with DS_NGINX_TEMPLATES")
    }

    /// - Parameter directory: an absolute path.
    public init(directory: String) {
        self.directory = directory
    }

    /// Renders every `*.conf` file into `output` under the same name, but those of other modes of access.
    ///
    /// - Parameter admin: whether those of the admin route are wanted; else what an earlier start left of them, which
    ///   holds the key, is removed.
    /// - Parameter includes: the directory of included files; nil: they stay relative to nginx's main configuration.
    /// - Returns: the names of the files, sorted.
    /// - Throws: `configuration` for an unknown placeholder, `system` when a file can't be read or written.
    @discardableResult
    public func render(
        into output: String, placeholders: [String: String], for auth: AuthMode, admin: Bool = true,
        includes: String? = nil
    ) throws(SupervisionError) -> [String] {
        let files = try rendered(placeholders: placeholders, for: auth, admin: admin, includes: includes)
        for name in try obsolete(for: auth, admin: admin) { unlink("\(output)/\(name)") }
        for file in files {
            let path = "\(output)/\(file.name)"
            // On a full disk a server with the same settings can be started again.
            if (try? SmallFile.read(path)) == file.content { continue }
            try Self.write(file.content, to: path)
        }
        return files.map(\.name)
    }

    static func write(_ content: [UInt8], to path: String) throws(SupervisionError) {
        do throws(SmallFile.Failure) {
            try SmallFile.write(content, to: path, mode: 0o640)
        } catch {
            throw .system("writing \(path)", code: error.code)
        }
    }

    /// The names of files that must not be there.
    func obsolete(for auth: AuthMode, admin: Bool) throws(SupervisionError) -> [String] {
        admin ? [] : try configurationFiles(for: auth).filter { $0.hasPrefix(Self.adminPrefix) }
    }

    /// What ``render(into:placeholders:for:admin:includes:)`` writes, by name.
    func rendered(
        placeholders: [String: String], for auth: AuthMode, admin: Bool, includes: String? = nil
    ) throws(SupervisionError) -> [(name: String, content: [UInt8])] {
        var result: [(name: String, content: [UInt8])] = []
        for name in try configurationFiles(for: auth) where admin || !name.hasPrefix(Self.adminPrefix) {
            let source = "\(directory)/\(name)"
            let template: [UInt8]
            do throws(SmallFile.Failure) {
                template = try SmallFile.read(source)
            } catch {
                throw .system("reading \(source)", code: error.code)
            }
            let text = String(decoding: template, as: UTF8.self)
            var content = try Self.replace(placeholders, in: text, name: source)
            if let includes { content = Self.locateIncludes(in: content, directory: includes) }
            result.append((name, Array(content.utf8)))
        }
        return result
    }

    /// Replaces each `@NAME@`, where NAME has capital letters, digits and underscores; any other `@` stays.
    ///
    /// - Parameter name: the file, for errors.
    /// - Throws: `configuration` for a placeholder without a value.
    public static func replace(
        _ placeholders: [String: String], in text: String, name: String
    ) throws(SupervisionError) -> String {
        var result = ""
        var line = 1
        var rest = text[...]
        while let at = rest.firstIndex(of: "@") {
            let before = rest[..<at]
            result += before
            line += before.count { $0 == "\n" }
            let tail = rest[rest.index(after: at)...]
            let word = tail.prefix { $0.isASCII && ($0.isUppercase || $0.isNumber || $0 == "_") }
            guard !word.isEmpty, word.endIndex < tail.endIndex, tail[word.endIndex] == "@" else {
                result += "@"
                rest = tail
                continue
            }
            guard let value = placeholders[String(word)] else {
                throw SupervisionError(
                    .configuration,
                    "\(name):\(line): unknown placeholder @\(word)@; known are "
                        + placeholders.keys.sorted().joined(separator: ", "))
            }
            result += value
            rest = tail[tail.index(after: word.endIndex)...]
        }
        return result + rest
    }

    /// Puts the directory before the names of our own files.
    static func locateIncludes(in text: String, directory: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let words = line.drop { $0 == " " || $0 == "\t" }
            let word = "include "
            guard words.hasPrefix(word + "durable-streams-") else { return String(line) }
            return "\(line[..<words.startIndex])\(word)\(directory)/\(words.dropFirst(word.count))"
        }.joined(separator: "\n")
    }

    private func configurationFiles(for auth: AuthMode) throws(SupervisionError) -> [String] {
        let others = AuthMode.allCases.filter { $0 != auth }.map { "durable-streams-\($0.rawValue)-" }
        return try Directories.names(in: directory).filter { name in
            name.hasSuffix(".conf") && !name.hasPrefix(".") && !others.contains { name.hasPrefix($0) }
        }.sorted()
    }
}
