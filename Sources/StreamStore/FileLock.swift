import CLinux
import Glibc

/// A lock between processes on a file of its own.
///
/// The kernel queues those who wait, so two busy writers take turns; SQLite's own busy wait sleeps and
/// let one of two equal processes do four times as much as the other (measured). The lock belongs to
/// the open file description, so it also works between threads that opened the file separately, and it
/// ends with the process.
final class FileLock: Sendable {
    private let descriptor: Int32
    private let path: String

    /// Opens the file.
    ///
    /// - Parameter creates: whether it is made if it is missing.
    init(path: String, creates: Bool = true) throws(StoreError) {
        descriptor = open(path, O_RDWR | O_CLOEXEC | (creates ? O_CREAT : 0), 0o640)
        self.path = path
        // Made by root for a server that runs as another user, it must be that user's.
        if geteuid() == 0 { FileLock.giveToOwner(of: DurableFile.folder(of: path), descriptor) }
        guard descriptor >= 0 else {
            throw StoreError(kind: .inputOutput, "open \(path): \(String(cString: strerror(errno)))")
        }
    }

    private static func giveToOwner(of folder: String, _ descriptor: Int32) {
        var (status, own) = (stat(), stat())
        guard descriptor >= 0, stat(folder, &status) == 0, fstat(descriptor, &own) == 0,
            own.st_uid != status.st_uid
        else { return }
        _ = fchown(descriptor, status.st_uid, status.st_gid)
    }

    deinit { close(descriptor) }

    /// Waits for the lock.
    ///
    /// - Parameter isShared: whether others may have it too who take it so.
    func lock(isShared: Bool = false) throws(StoreError) {
        while ds_lock(descriptor, Int16(isShared ? F_RDLCK : F_WRLCK), 1) != 0 {
            guard errno == EINTR else {
                throw StoreError(kind: .inputOutput, "lock \(path): \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Takes the lock if it is free.
    func tryLock(isShared: Bool = false) -> Bool {
        ds_lock(descriptor, Int16(isShared ? F_RDLCK : F_WRLCK), 0) == 0
    }

    func unlock() { _ = ds_lock(descriptor, Int16(F_UNLCK), 0) }
}
