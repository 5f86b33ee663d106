import ArgumentParser
import ServerSettings
import StreamStore

/// Where the data directory is, for commands that work on it by themselves.
struct DataDirectoryOptions: ParsableArguments {
    @Option(
        help: "The data directory. Default: as for serve, from DS_DATA_DIR, the settings file, or ./data.")
    var dataDir: String?

    @Option(help: "A settings file, as for serve.")
    var config: String?

    /// The store's files.
    var files: StoreFiles {
        let layout = layout
        return StoreFiles(folder: layout.dataDirectory, segments: layout.segmentsDirectory)
    }

    /// Where everything lies.
    var layout: DataDirectoryLayout {
        var arguments: [String] = []
        if let dataDir { arguments += ["--data-dir", dataDir] }
        if let config { arguments += [SettingKey.configFlag, config] }
        return Command.loadSettings(arguments).layout
    }
}
