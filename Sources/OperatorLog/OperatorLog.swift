import Glibc
import ServerSettings

/// Writes a process's lines to a descriptor, each with one call, so that those of several processes don't mix.
public struct OperatorLog: Sendable {
    /// What the lines look like.
    public let format: LogFormat
    /// The least severe level that is written.
    public let level: LogLevel
    private let process: String
    private let identifier: Int32
    private let descriptor: Int32

    /// - Parameters:
    ///   - process: the name that lines say.
    ///   - descriptor: where they go.
    public init(
        process: String, format: LogFormat, level: LogLevel = .trace, descriptor: Int32 = STDERR_FILENO
    ) {
        self.process = process
        self.format = format
        self.level = level
        self.descriptor = descriptor
        identifier = getpid()
    }

    /// Writes a line, unless its level is not asked for.
    public func write(
        _ level: LogLevel, _ message: String, requestID: String? = nil,
        _ fields: [(name: String, value: LogLine.Value)] = []
    ) {
        guard level >= self.level else { return }
        var line = LogLine(
            time: OperatorLog.now, level: level, process: process, identifier: identifier, message: message,
            requestID: requestID)
        line.fields = fields
        write(line)
    }

    /// Writes a line of another process.
    public func write(_ line: LogLine) { OperatorLog.write(line.bytes(format), to: descriptor) }

    /// Writes all bytes, or gives up when nobody takes them any more: that must not stop a server.
    public static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                // Somebody else who has the descriptor made it non-blocking.
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&waiting, 1, 1_000)
            } else if errno != EINTR {
                return
            }
        }
    }

    /// Milliseconds since 1970.
    public static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}
