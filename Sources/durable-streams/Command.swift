import Glibc
import ServerSettings
import StreamAccess
import StreamStore
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

    /// Refuses settings that would leave the server open, or unable to decide, with one line and exit status 78.
    static func checkAccess(_ settings: Settings) {
        do throws(SettingsError) {
            try settings.checkAccess()
        } catch {
            end(SettingsError.exitStatus, error.description)
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

    /// The exit status of a command that has done its work and found something wrong.
    static let findingsStatus: Int32 = 1

    /// Ends the process with the status that `body` returns, or that fits its error.
    static func finish(_ body: () throws(StoreError) -> Int32) -> Never {
        do throws(StoreError) {
            exit(try body())
        } catch {
            fail(error)
        }
    }

    /// Ends the process with the status that `body` returns, or that fits its error.
    static func finish(_ body: () throws(AccessError) -> Int32) -> Never {
        do throws(AccessError) {
            exit(try body())
        } catch {
            fail(error)
        }
    }

    /// Ends the process with one line.
    static func end(_ status: Int32, _ line: String) -> Never {
        Console.error(line)
        exit(status)
    }

    /// Ends the process with one line and the status that fits (sysexits.h).
    static func fail(_ error: StoreError) -> Never {
        Console.error(error.description)
        switch error.kind {
        case .incomplete: exit(EX_DATAERR)
        case .absent: exit(EX_NOINPUT)
        case .occupied: exit(EX_CANTCREAT)
        case .inUse, .busy: exit(EX_TEMPFAIL)
        case .newerSchema: exit(EX_CONFIG)
        case .full, .inputOutput, .corrupt, .failed: exit(EX_IOERR)
        }
    }

    /// Ends the process with one line and the status that fits (sysexits.h).
    static func fail(_ error: AccessError) -> Never {
        Console.error(error.message)
        switch error.kind {
        case .absent: exit(EX_NOINPUT)
        case .occupied: exit(EX_CANTCREAT)
        case .refused: exit(EX_DATAERR)
        case .configuration: exit(EX_CONFIG)
        case .failed: exit(EX_IOERR)
        }
    }

    /// Runs long work with a progress bar; findings are lines of their own.
    static func observe<Summary>(
        findingsOn print: @escaping (String) -> Void = Console.note,
        _ work: (WorkObserver) throws(StoreError) -> Summary
    ) throws(StoreError) -> Summary {
        // Copies are for those who may read the data.
        umask(0o027)
        let bar = ProgressBar()
        defer { bar.clear() }
        return try work(
            WorkObserver(
                found: {
                    bar.clear()
                    print($0.description)
                }, progress: bar.show))
    }

    /// A path from the root, without slashes at its end.
    static func absolute(_ path: String) -> String {
        var path = path
        if !path.hasPrefix("/") {
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
            guard getcwd(&buffer, buffer.count) != nil else { return path }
            path =
                String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) + "/"
                + path
        }
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    /// The variables of this process.
    static var environment: [String: String] {
        var result: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { result[String(parts[0])] = String(parts[1]) }
            entry += 1
        }
        return result
    }
}
