import Glibc
import StreamClient
import Supervision

/// What a command is to send: a file, or standard input.
final class InputFile {
    let descriptor: Int32
    /// Its name, for errors.
    let name: String

    private init(descriptor: Int32, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    deinit {
        if descriptor != STDIN_FILENO { close(descriptor) }
    }

    /// Opens a file, or ends the process with one line. `-` and none are standard input.
    static func open(_ path: String?) -> InputFile {
        guard let path, path != "-" else {
            return InputFile(descriptor: STDIN_FILENO, name: "standard input")
        }
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            Command.end(EX_NOINPUT, "\(path): \(String(cString: strerror(errno)))")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT != S_IFDIR else {
            Command.end(EX_NOINPUT, "\(path) is a directory")
        }
        return InputFile(descriptor: descriptor, name: path)
    }

    /// Its bytes as a request's body, which are read while they are sent. The file has to live meanwhile.
    var body: HTTPRequest.Body {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return .descriptor(descriptor, length: nil)
        }
        let position = lseek(descriptor, 0, SEEK_CUR)
        return .descriptor(descriptor, length: max(0, Int64(status.st_size) - Int64(max(position, 0))))
    }

    /// Everything in it.
    func readAll() -> [UInt8] {
        var bytes: [UInt8] = []
        while let part = read() { bytes += part }
        return bytes
    }

    /// The next part; nil at its end.
    func read() -> [UInt8]? {
        while true {
            var failure: Int32 = 0
            let part = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
                let got = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                count = max(0, got)
                failure = got < 0 ? errno : 0
            }
            if failure == 0 { return part.isEmpty ? nil : part }
            guard failure == EINTR else {
                Command.end(EX_IOERR, "reading \(name): \(String(cString: strerror(failure)))")
            }
        }
    }
}

/// The lines of an input, each with the line feed at its end.
struct LineReader {
    private let input: InputFile
    private var buffer: ArraySlice<UInt8> = []
    private var isAtEnd = false

    init(_ input: InputFile) { self.input = input }

    /// The next line; nil at the end. The last one may lack its line feed.
    mutating func next() -> [UInt8]? {
        var searched = 0
        while true {
            if let end = buffer.dropFirst(searched).firstIndex(of: 0x0A) {
                let line = Array(buffer[...end])
                buffer = buffer[(end + 1)...]
                return line
            }
            searched = buffer.count
            guard !isAtEnd, let part = input.read() else {
                isAtEnd = true
                defer { buffer = [] }
                return buffer.isEmpty ? nil : Array(buffer)
            }
            buffer = ArraySlice(Array(buffer) + part)
        }
    }

    /// Whether nothing more has come within some milliseconds.
    func isIdle(milliseconds: Int32) -> Bool {
        guard !isAtEnd, !buffer.contains(0x0A) else { return false }
        var state = pollfd(fd: input.descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&state, 1, milliseconds) == 0
    }
}
