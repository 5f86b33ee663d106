import Glibc

/// Work as the user that a directory belongs to.
enum FileOwner {
    /// Does `work` with the rights and groups of the directory's owner, if this is root and the owner is not: files made
    /// meanwhile belong to whoever will use them. Call it before any other thread exists.
    static func act<Result>(
        asOwnerOf directory: String, _ work: () throws(SupervisionError) -> Result
    ) throws(SupervisionError) -> Result {
        let found = try Directories.status(directory, followLinks: true)
        guard geteuid() == 0, found.owner != 0 else { return try work() }
        let before = groups()
        let entry = getpwuid(found.owner)?.pointee
        let group = entry?.pw_gid ?? found.group
        if let name = entry?.pw_name, initgroups(name, group) != 0 {
            throw .system("taking the groups of the owner of \(directory)", code: errno)
        }
        if entry == nil { setgroups(0, nil) }
        defer {
            seteuid(0)
            setegid(getgid())
            setgroups(before.count, before)
        }
        guard setegid(group) == 0, seteuid(found.owner) == 0 else {
            throw .system("acting as the owner of \(directory)", code: errno)
        }
        return try work()
    }

    private static func groups() -> [gid_t] {
        let count = getgroups(0, nil)
        guard count > 0 else { return [] }
        var list = [gid_t](repeating: 0, count: Int(count))
        return Array(list.prefix(Int(max(0, getgroups(count, &list)))))
    }
}
