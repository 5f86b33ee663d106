import CLinux
import Glibc
import OperatorLog
import ServerSettings

/// Passes on what nginx writes to standard error, line by line, without the queries in it and in the format that the
/// operator asked for. A thread of its own does that, until this is let go; the pipe outlives a reload.
final class ErrorRelay {
    /// Where nginx's lines are read.
    let source: Int32
    /// Where nginx writes.
    let descriptor: Int32
    /// Hangs up when the thread ends; -1 without a thread.
    private var end: Int32 = -1
    private var thread = pthread_t()

    /// The longest line that nginx writes has 2 KiB; what is longer is no line of nginx.
    private static let longestLine = 16_384
    /// Milliseconds that a process which nginx left behind may hold the end up.
    private static let patience: Int32 = 1_000

    /// Begins to listen. Call it with signals blocked, which the thread inherits.
    convenience init() throws(SupervisionError) {
        let lines = try Self.pipe()
        self.init(reading: lines.read, writing: lines.write)
    }

    /// Goes on with the pipe of the program before this one.
    init(reading source: Int32, writing descriptor: Int32) {
        (self.source, self.descriptor) = (source, descriptor)
        for descriptor in [source, descriptor] { Handles.keepFromOthers(descriptor) }
        guard let ending = try? Self.pipe() else { return }
        end = ending.read
        let box = Unmanaged.passRetained(Work(source: source, end: ending.write))
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                ds_name_thread("nginx-errors")
                Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, box.toOpaque())
        if code != 0 { box.release() }
    }

    /// Passes on what is left, when nginx has ended.
    deinit {
        close(descriptor)
        guard end >= 0 else { return }
        var waiting = pollfd(fd: end, events: Int16(POLLIN), revents: 0)
        if poll(&waiting, 1, Self.patience) > 0 { pthread_join(thread, nil) }
        close(end)
    }

    private static func pipe() throws(SupervisionError) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { throw .system("making a pipe", code: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    private final class Work {
        private let source: Int32
        private let end: Int32
        private var held: [UInt8] = []

        init(source: Int32, end: Int32) {
            self.source = source
            self.end = end
        }

        func run() {
            var buffer = [UInt8](repeating: 0, count: 8_192)
            while true {
                let count = read(source, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { break }
                held += buffer[..<count]
                while let end = held.firstIndex(of: UInt8(ascii: "\n")) {
                    pass(held[..<end])
                    held.removeSubrange(...end)
                }
                if held.count > ErrorRelay.longestLine { flush() }
            }
            flush()
            close(source)
            close(end)
        }

        private func flush() {
            if !held.isEmpty { pass(held[...]) }
            held = []
        }

        private func pass(_ bytes: ArraySlice<UInt8>) {
            let found = NginxErrorLine(bytes)
            switch Console.format {
            case .text: OperatorLog.write(Array(found.text.utf8) + [UInt8(ascii: "\n")], to: STDERR_FILENO)
            case .json:
                let line = LogLine(
                    time: OperatorLog.now, level: found.level, process: "nginx",
                    identifier: found.identifier ?? 0, message: found.message)
                OperatorLog.write(line.bytes(.json), to: STDERR_FILENO)
            }
        }
    }
}
