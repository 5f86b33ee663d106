import CLinux
import Glibc

/// Whether anybody waits in the live process: a number in a file that all processes have mapped, so that a commit
/// without a reader costs no wake-up.
///
/// A waiter raises the number before its last look at the tail; a worker looks at the number after its commit. Both
/// sides order the two with a full barrier, so either the waiter sees the commit or the worker sees the waiter.
///
/// `@unchecked Sendable`: the number is only reached by atomic instructions.
public final class LiveInterest: @unchecked Sendable {
    private let number: UnsafeMutablePointer<Int64>?

    /// Maps the file, making it at the first start. Without it, somebody always seems to wait.
    public init(path: String) { number = ds_map_number(path) }

    deinit {
        if let number { munmap(number, MemoryLayout<Int64>.size) }
    }

    /// For the live process at its start: its predecessor's readers have gone.
    public func reset() {
        if let number { ds_atomic_store(number, 0) }
    }

    /// Raises or lowers the number.
    public func add(_ difference: Int64) {
        if let number { ds_atomic_add(number, difference) }
    }

    /// Whether a commit that was made before this call must be told.
    public var isAnybodyWaiting: Bool {
        guard let number else { return true }
        return ds_atomic_load_behind_stores(number) != 0
    }
}
