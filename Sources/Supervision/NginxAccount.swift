import Glibc
import ServerSettings

/// The account that nginx's workers run as.
struct NginxAccount: Equatable {
    static let preferredName = "www-data"

    /// nginx's `user` directive, or nothing when the supervisor is not root and nginx can't change its user.
    let directive: String
    /// The group that must reach sockets and nginx's files; nil when nginx runs as the supervisor's own user.
    let group: gid_t?
    /// Something the operator should know.
    let note: String?

    /// Decides for a data directory that exists. A data directory that only lacks the group's permission gets it.
    static func choose(dataDirectory: String) throws(SupervisionError) -> NginxAccount {
        guard geteuid() == 0 else { return NginxAccount(directive: "", group: nil, note: nil) }
        guard let entry = getpwnam(preferredName)?.pointee else {
            return asRoot(because: "there is no user \(preferredName)")
        }
        let user = Credentials(user: entry.pw_uid, groups: groups(of: preferredName, primary: entry.pw_gid))
        if let barrier = try firstBarrier(on: Executables.directory(of: dataDirectory), for: user) {
            return asRoot(because: "\(preferredName) can't enter \(barrier)")
        }
        let found = try Directories.status(dataDirectory, followLinks: true)
        if !user.mayEnter(found) {
            guard found.owner == 0, found.group == 0 || found.group == entry.pw_gid else {
                return asRoot(because: "\(preferredName) can't enter \(dataDirectory)")
            }
            let mode = (found.mode & 0o7777) | 0o010
            try Directories.setGroup(dataDirectory, entry.pw_gid, mode: mode)
        }
        return NginxAccount(directive: "user \(preferredName);", group: entry.pw_gid, note: nil)
    }

    private static func asRoot(because reason: String) -> NginxAccount {
        NginxAccount(
            directive: "user root;", group: nil, note: "nginx's workers run as root, since \(reason)")
    }

    /// The first directory from the root to `path` that the user may not enter.
    private static func firstBarrier(
        on path: String, for user: Credentials
    ) throws(SupervisionError) -> String? {
        var current = ""
        for component in [""] + path.split(separator: "/").map(String.init) {
            current += current == "/" ? component : "/" + component
            if try !user.mayEnter(Directories.status(current, followLinks: true)) { return current }
        }
        return nil
    }

    /// Who asks to enter a directory.
    struct Credentials {
        let user: uid_t
        let groups: [gid_t]

        /// The kernel's rule: owner, else group, else others; the first that fits decides.
        func mayEnter(_ directory: Directories.Status) -> Bool {
            if directory.owner == user { return directory.mode & 0o100 != 0 }
            if groups.contains(directory.group) { return directory.mode & 0o010 != 0 }
            return directory.mode & 0o001 != 0
        }
    }

    private static func groups(of name: String, primary: gid_t) -> [gid_t] {
        var count: Int32 = 64
        var list = [gid_t](repeating: 0, count: Int(count))
        guard getgrouplist(name, primary, &list, &count) >= 0 else { return [primary] }
        return Array(list.prefix(Int(count)))
    }
}
