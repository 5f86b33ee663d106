import Glibc

/// Whole-file reads and writes for configuration, without Foundation.
package enum SmallFile {
    /// The system's reason why a file could not be read or written.
    package struct Failure: Error, CustomStringConvertible {
        package let code: Int32
        package var description: String { String(cString: strerror(code)) }
    }

    /// All bytes of a file.
    ///
    /// - Parameter most: of a longer one so many bytes, and one more.
    package static func read(_ path: String, most: Int = Int.max - 1) throws(Failure) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(code: errno) }
        defer { close(descriptor) }
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = Glibc.read(descriptor, &buffer, min(buffer.count, most - result.count + 1))
            if count > 0 {
                result += buffer[..<count]
                if result.count > most { return result }
            } else if count == 0 {
                return result
            } else if errno != EINTR {
                throw Failure(code: errno)
            }
        }
    }

    /// Replaces the file's content in one step: readers see the old file or the new one.
    package static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws(Failure) {
        let temporary = path + ".new"
        // A new file, so that its mode is the one given, and nothing is written through a link.
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw Failure(code: errno) }
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                throw Failure(code: errno)
            }
        }
        guard rename(temporary, path) == 0 else { throw Failure(code: errno) }
    }
}
