import Glibc
import ServerSettings

/// The machine of a deployment, and what works there on one data directory.
final class Host {
    let layout: DataDirectoryLayout
    /// Those that the running server has; of this command, where none runs.
    let settings: Settings
    /// What works on the data directory.
    let processes: [HostProcess]
    /// What was measured on the way, for the report.
    var measured: [(name: String, value: JSONValue)] = []

    init(dataDirectory: String, config: String?) {
        layout = DataDirectoryLayout(dataDirectory: dataDirectory)
        processes = HostProcess.all(on: layout)
        let own = Command.loadSettings(
            ["--data-dir", dataDirectory] + (config.map { [SettingKey.configFlag, $0] } ?? []))
        let running = processes.first { $0.role == .worker }?.environment ?? [:]
        settings = running.isEmpty ? own : (try? Settings.load(arguments: [], environment: running)) ?? own
    }

    /// Where a server that listens on an address can be reached from its own machine.
    static func reachable(_ address: ListenAddress) -> String {
        switch address.host {
        case "0.0.0.0": "127.0.0.1:\(address.port)"
        case "::": "[::1]:\(address.port)"
        default: "\(address)"
        }
    }
}
