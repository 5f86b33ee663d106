import CLinux
import Glibc

/// Whether anybody waits in a live process: numbers in a file that all processes have mapped, so that a commit without a
/// reader costs no wake-up. While one live process takes over from another both are there, each with a number of its own;
/// one that was killed leaves its number behind, which costs wake-ups that nobody needs until its slot is used again.
///
/// A waiter raises its number before its last look at the tail; a worker looks at the numbers after its commit. Both
/// sides order the two with a full barrier, so either the waiter sees the commit or the worker sees the waiter.
///
/// `@unchecked Sendable`: the numbers are only reached by atomic instructions.
public final class LiveInterest: @unchecked Sendable {
    private let numbers: UnsafeMutablePointer<Int64>?
    private let slot: Int

    /// Live processes that may be there at once: their numbers fill a cache line.
    public static let slots = 8

    /// Maps the file, making it at the first start. Without it, somebody always seems to wait.
    ///
    /// - Parameter slot: which number is this process's own, 0 to 7; of no interest to those who only look.
    public init(path: String, slot: Int = 0) {
        numbers = ds_map_numbers(path, LiveInterest.slots)
        self.slot = min(max(slot, 0), LiveInterest.slots - 1)
    }

    deinit {
        if let numbers { munmap(numbers, LiveInterest.slots * MemoryLayout<Int64>.size) }
    }

    /// For the live process at its start: who had its slot before has gone, with all readers.
    public func reset() {
        if let numbers { ds_atomic_store(numbers + slot, 0) }
    }

    /// Raises or lowers the number of this process.
    public func add(_ difference: Int64) {
        if let numbers { ds_atomic_add(numbers + slot, difference) }
    }

    /// Whether a commit that was made before this call must be told.
    public var isAnybodyWaiting: Bool {
        guard let numbers else { return true }
        return ds_atomic_any_behind_stores(numbers, LiveInterest.slots) != 0
    }
}
