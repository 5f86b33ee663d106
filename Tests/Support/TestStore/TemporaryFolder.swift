import Foundation

/// A folder of its own for one test, removed with everything in it when the test lets go of it.
public final class TemporaryFolder: Sendable {
    /// Where it lies, without a slash at the end.
    public let path: String

    /// Makes the folder.
    public init() throws {
        // Short, so that a socket in it stays within the 107 bytes of an address.
        path = "/tmp/ds-test-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
