import Glibc
import ServerSettings
import Supervision

/// What the commands share: loading settings, and ending with the right status.
enum Command {
    /// The settings, or one line on standard error and exit status 78.
    static func loadSettings(_ arguments: [String]) -> Settings {
        do throws(SettingsError) {
            return try Settings.load(arguments: arguments, environment: environment)
        } catch {
            Console.error(error.description)
            exit(SettingsError.exitStatus)
        }
    }

    /// Ends the process with the status that `body` returns, or that fits its error.
    static func finish(_ body: () throws(SupervisionError) -> Int32) -> Never {
        do throws(SupervisionError) {
            exit(try body())
        } catch {
            Console.error(error.description)
            exit(error.status.rawValue)
        }
    }

    /// The variables of this process.
    static var environment: [String: String] {
        var result: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { result[String(parts[0])] = String(parts[1]) }
            entry += 1
        }
        return result
    }
}
