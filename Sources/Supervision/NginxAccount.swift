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
    ///
    /// - Parameter nginxGroup: the group of an nginx that another user runs; only for a server that is not root.
    static func choose(
        dataDirectory: String, nginxGroup: String?
    ) throws(SupervisionError) -> NginxAccount {
        guard geteuid() == 0 else {
            guard let nginxGroup else { return NginxAccount(directive: "", group: nil, note: nil) }
            return try forGroup(nginxGroup, dataDirectory: dataDirectory)
        }
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

    /// An nginx of the administrator's reaches sockets and files by its group, which this user must be in to give them to it.
    private static func forGroup(
        _ name: String, dataDirectory: String
    ) throws(SupervisionError) -> NginxAccount {
        guard let group = getgrnam(name)?.pointee.gr_gid else {
            throw SupervisionError(.configuration, "nginx_group: there is no group \(name)")
        }
        guard getegid() == group || ownGroups().contains(group) else {
            throw SupervisionError(
                .configuration,
                "nginx_group: this user is not in the group \(name): add it (usermod --append --groups)")
        }
        let member = Credentials(user: uid_t.max, groups: [group])
        if let barrier = try firstBarrier(on: Executables.directory(of: dataDirectory), for: member) {
            return NginxAccount(
                directive: "", group: group, note: "the group \(name) can't enter \(barrier), so nginx can't")
        }
        let found = try Directories.status(dataDirectory, followLinks: true)
        if !member.mayEnter(found), found.owner == geteuid() {
            try Directories.setGroup(dataDirectory, group, mode: (found.mode & 0o7777) | 0o010)
        }
        return NginxAccount(directive: "", group: group, note: nil)
    }

    private static func ownGroups() -> [gid_t] {
        let count = getgroups(0, nil)
        guard count > 0 else { return [] }
        var list = [gid_t](repeating: 0, count: Int(count))
        guard getgroups(count, &list) == count else { return [] }
        return list
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
