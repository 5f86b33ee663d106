import Glibc

/// A folder that goes with the test.
final class TemporaryFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/durable-streams-telemetry-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure.noFolder }
        path = String(cString: made)
    }

    deinit {
        for name in ["telemetry", "telemetry.new", "history", "tally"] { unlink(path + "/" + name) }
        rmdir(path)
    }

    /// Puts a file there.
    func write(_ name: String, _ bytes: [UInt8]) {
        let descriptor = open(path + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0o640)
        _ = Glibc.write(descriptor, bytes, bytes.count)
        close(descriptor)
    }

    func read(_ name: String) -> [UInt8] {
        let descriptor = open(path + "/" + name, O_RDONLY)
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        return Array(bytes[..<max(0, Glibc.read(descriptor, &bytes, bytes.count))])
    }
}

enum TestFailure: Error { case noFolder }
