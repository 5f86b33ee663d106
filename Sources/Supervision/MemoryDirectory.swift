import Glibc
import ServerSettings

/// A directory in the system's tmpfs, where anybody may make names: it is used, and emptied, only if it is ours.
struct MemoryDirectory {
    private let path: String

    init(_ layout: DataDirectoryLayout) { path = layout.memoryDirectory }

    /// Makes it, for a group to enter; one that somebody else made is refused.
    func create(group: gid_t?) throws(SupervisionError) {
        try Directories.createPrivate(path)
        if let group { try Directories.setGroup(path, group, mode: 0o750) }
    }

    /// Removes it with all that is in it. Links are removed and never followed, whoever put them there.
    func remove() {
        guard let found = try? Directories.status(path), found.isDirectory, found.owner == geteuid(),
            found.mode & 0o022 == 0
        else { return }
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        MemoryDirectory.empty(descriptor)
        rmdir(path)
    }

    /// Removes what is in a directory, and closes it.
    private static func empty(_ descriptor: Int32) {
        guard let stream = fdopendir(descriptor) else {
            close(descriptor)
            return
        }
        defer { closedir(stream) }
        for name in Directories.names(in: stream) where unlinkat(descriptor, name, 0) != 0 {
            let child = openat(descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard child >= 0 else { continue }
            empty(child)
            unlinkat(descriptor, name, AT_REMOVEDIR)
        }
    }
}
