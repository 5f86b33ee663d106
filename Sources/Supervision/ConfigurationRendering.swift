import Glibc
import ServerSettings

/// Rendering without running anything: `durable-streams nginx-config`.
public enum ConfigurationRendering {
    /// Renders nginx's configuration for an nginx that the administrator runs.
    ///
    /// Files name those that they include by their absolute path, so they work from wherever they are included. Run by
    /// root for the data directory of another user, what is made there belongs to that user.
    ///
    /// - Parameter output: directory of the rendered files; created when missing. The data directory is created too,
    ///   since its owner decides which user nginx runs as.
    /// - Returns: absolute paths of the files.
    public static func render(settings: Settings, output: String) throws(SupervisionError) -> [String] {
        let templates = try NginxTemplates.find(settings: settings)
        try Directories.create(settings.dataDirectory)
        let (account, adminKey) = try FileOwner.act(asOwnerOf: settings.dataDirectory) {
            () throws(SupervisionError) in
            let account = try NginxAccount.choose(
                dataDirectory: settings.dataDirectory, nginxGroup: settings.nginxGroup)
            try Directories.prepare(settings.layout, group: account.group)
            if settings.auth == .projectJWT {
                try MemoryDirectory(settings.layout).create(group: account.group)
            }
            let adminKey =
                settings.admin
                ? try AdminFiles.prepare(settings.layout, group: account.group, templates: templates) : nil
            return (account, adminKey)
        }
        try Directories.create(output)
        guard let buffer = realpath(output, nil) else { throw .system("finding \(output)", code: errno) }
        defer { free(buffer) }
        let directory = String(cString: buffer)
        try refuseForeignConfiguration(in: directory)
        let placeholders = NginxPlaceholders.values(
            settings: settings, configurationDirectory: directory, user: account.directive,
            adminKey: adminKey)
        let names = try templates.render(
            into: directory, placeholders: placeholders, for: settings.auth, admin: settings.admin,
            includes: directory)
        return names.map { "\(directory)/\($0)" }
    }

    /// An `nginx.conf` that this program did not write, such as the one of /etc/nginx, is never replaced.
    private static func refuseForeignConfiguration(in directory: String) throws(SupervisionError) {
        let path = directory + "/nginx.conf"
        guard let found = try? SmallFile.read(path) else { return }
        guard !String(decoding: found, as: UTF8.self).contains("`durable-streams serve`") else { return }
        throw SupervisionError(
            .configuration, "\(path) was not written by this program: give --output a directory of its own")
    }
}
