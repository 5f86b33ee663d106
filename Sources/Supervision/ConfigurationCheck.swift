import CLinux
import Glibc
import ServerSettings

/// Whether a server with some settings would start here: `durable-streams check-config`. Changes nothing.
public struct ConfigurationCheck {
    /// One thing that is wrong, or that may not be meant.
    public struct Finding: Sendable, Equatable {
        /// Whether a server would not start, or not work.
        public let isError: Bool
        /// One line that names the setting.
        public let text: String

        /// A finding.
        public init(isError: Bool, text: String) {
            self.isError = isError
            self.text = text
        }
    }

    private let settings: Settings
    private let environment: [String: String]
    private var findings: [Finding] = []

    /// Looks at everything beyond the grammar of the settings.
    ///
    /// - Parameter environment: the variables of this process, as for a server.
    public static func findings(
        _ settings: Settings, environment: [String: String]
    ) -> [Finding] {
        var check = ConfigurationCheck(settings: settings, environment: environment)
        let isDecided = check.checkAccess()
        check.checkPublicURL()
        let isRunning = check.checkDataDirectory()
        // Without an endpoint to ask, nginx has only more words for the same.
        if isDecided { check.checkPrograms() }
        check.checkAddress(isRunning: isRunning)
        check.checkDescriptors()
        return check.findings
    }

    private init(settings: Settings, environment: [String: String]) {
        self.settings = settings
        self.environment = environment
    }

    private mutating func error(_ text: String) { findings.append(Finding(isError: true, text: text)) }
    private mutating func warn(_ text: String) { findings.append(Finding(isError: false, text: text)) }

    // MARK: access

    /// - Returns: whether it is clear who may do what.
    private mutating func checkAccess() -> Bool {
        var isDecided = true
        do throws(SettingsError) {
            try settings.checkAccess()
        } catch {
            self.error(error.description)
            isDecided = false
        }
        if settings.auth == .none, !settings.listen.isLoopback, settings.allowOpen {
            warn("allow_open: whoever reaches \(settings.listen) may read and write everything")
        }
        if settings.auth != .delegate, let url = settings.authDelegateURL {
            warn("auth_delegate_url: \(url) is not asked, since auth is \(settings.auth.rawValue)")
        }
        return isDecided
    }

    private mutating func checkPublicURL() {
        guard let url = settings.publicURL else { return }
        let host = url.split(separator: "/").last.map(String.init) ?? ""
        let isHere = host.hasPrefix("127.") || host.hasPrefix("localhost") || host.hasPrefix("[::1]")
        if settings.auth == .projectJWT, url.hasPrefix("http://"), !isHere {
            warn("public_url: \(url) is not encrypted: tokens can be read on their way; use https")
        }
        if isHere, !settings.listen.isLoopback {
            warn("public_url: \(url) leads clients of other machines to themselves")
        }
    }

    // MARK: places

    /// - Returns: whether a server works in the directory.
    private mutating func checkDataDirectory() -> Bool {
        let path = settings.dataDirectory
        var status = stat()
        if stat(path, &status) != 0 {
            guard errno == ENOENT else {
                error("data_dir: \(path): \(String(cString: strerror(errno)))")
                return false
            }
            let parent = ConfigurationCheck.existingParent(of: path)
            if stat(parent, &status) == 0, status.st_mode & S_IFMT != S_IFDIR {
                error("data_dir: \(path) can't be made, since \(parent) is not a directory")
            } else if access(parent, W_OK | X_OK) != 0 {
                error("data_dir: \(path) can't be made: no right to write to \(parent)")
            }
            return false
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            error("data_dir: \(path) is not a directory")
            return false
        }
        guard access(path, R_OK | W_OK | X_OK) == 0 else {
            error("data_dir: \(path): \(String(cString: strerror(errno))); give it to the server's user")
            return false
        }
        checkSpace()
        let descriptor = open(settings.layout.lockFile, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return ds_is_locked(descriptor) == 1
    }

    private mutating func checkSpace() {
        var space = statvfs()
        guard statvfs(settings.dataDirectory, &space) == 0, space.f_blocks > space.f_bfree else { return }
        let used = space.f_blocks - space.f_bfree
        let percent = used * 100 / max(1, used + space.f_bavail)
        guard settings.diskHighWater < 100, percent >= settings.diskHighWater else { return }
        warn(
            "disk_high_water: the disk of \(settings.dataDirectory) is \(percent) % full, so appends are refused above "
                + "\(settings.diskHighWater) %")
    }

    private static func existingParent(of path: String) -> String {
        var parent = Executables.directory(of: path)
        var status = stat()
        while parent != "/", stat(parent, &status) != 0 { parent = Executables.directory(of: parent) }
        return parent
    }

    // MARK: programs

    private mutating func checkPrograms() {
        do throws(SupervisionError) {
            let executables = try Executables(
                settings: settings, parts: .all, searchPath: environment["PATH"] ?? "")
            guard let nginx = executables.nginx else { return }
            let templates = try NginxTemplates.find(settings: settings)
            let output = try NginxTest.run(nginx, templates, settings, environment: environment)
            for line in output { error("nginx refuses its configuration: \(line)") }
        } catch {
            self.error(error.description)
        }
    }

    private mutating func checkAddress(isRunning: Bool) {
        let code = ListenCheck.bindOnce(settings.listen)
        if code == EADDRINUSE, isRunning, isHeldByOurs { return }
        do throws(SupervisionError) {
            try ListenCheck.judge(code, settings.listen)
        } catch {
            self.error("listen: \(error)")
        }
    }

    /// Whether the nginx of the server that works in the data directory has this address.
    private var isHeldByOurs: Bool {
        guard let text = try? SmallFile.read("\(settings.layout.nginxDirectory)/\(Nginx.mainFile)") else {
            return false
        }
        return String(decoding: text, as: UTF8.self).contains("listen \(settings.listen) ")
    }

    private mutating func checkDescriptors() {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0, limit.rlim_max < ConfigurationCheck.fewDescriptors else {
            return
        }
        warn(
            "the limit of open files (ulimit -Hn) is \(limit.rlim_max): each live reader takes two of nginx and one of "
                + "the live process")
    }

    private static let fewDescriptors: rlim_t = 4_096
}
