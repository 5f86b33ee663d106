import Glibc
import ServerSettings

/// Rendering without running anything: `durable-streams nginx-config`.
public enum ConfigurationRendering {
    /// Renders nginx's configuration for an nginx that the administrator runs.
    ///
    /// - Parameter output: directory of the rendered files; created when missing. The data directory is created too,
    ///   since its owner decides which user nginx runs as.
    /// - Returns: absolute paths of the files.
    public static func render(settings: Settings, output: String) throws(SupervisionError) -> [String] {
        let templates = try NginxTemplates.find(settings: settings)
        try Directories.create(settings.dataDirectory)
        let account = try NginxAccount.choose(dataDirectory: settings.dataDirectory)
        try Directories.prepare(settings.layout, group: account.group)
        try Directories.create(output)
        guard let buffer = realpath(output, nil) else { throw .system("finding \(output)", code: errno) }
        defer { free(buffer) }
        let directory = String(cString: buffer)
        let placeholders = NginxPlaceholders.values(
            settings: settings, configurationDirectory: directory, user: account.directive)
        return try templates.render(into: directory, placeholders: placeholders).map { "\(directory)/\($0)" }
    }
}
