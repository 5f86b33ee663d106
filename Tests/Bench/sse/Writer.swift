import BenchCommon

/// Appends on one keep-alive connection, one request at a time.
final class Writer {
    private let options: Options
    private let connection: Connection

    /// What to watch; another one after `reconnect`.
    var descriptor: Int32 { connection.descriptor }
    /// Whether a request has no answer yet.
    var isWaiting: Bool { connection.isWaiting }

    init(options: Options) throws {
        self.options = options
        connection = try Connection(target: options.target)
    }

    /// Creates the stream.
    func create(scratch: UnsafeMutableRawBufferPointer) throws {
        try send(method: "PUT", body: [])
        while isWaiting {
            guard try receive(scratch: scratch, isBlocking: true) else {
                try reconnect()
                return
            }
        }
    }

    /// Sends the append with this index.
    func append(index: Int, due: Int64) throws {
        try send(method: "POST", body: Message.bytes(due: due, index: index, size: options.size))
    }

    /// Reads what has come; false when the server has closed the connection and `reconnect` is due.
    func receive(scratch: UnsafeMutableRawBufferPointer, isBlocking: Bool = false) throws -> Bool {
        switch try connection.receive(scratch: scratch, isBlocking: isBlocking) {
        case .open:
            return true
        case .answered(let status, let closes):
            guard [200, 201, 204].contains(status) else {
                throw Failure("a write was answered with \(status)")
            }
            return !closes
        case .closed:
            guard !isWaiting else {
                throw Failure("the server closed the connection in place of an answer")
            }
            return false
        }
    }

    /// Opens a connection in place of the one that the server closed.
    func reconnect() throws {
        try connection.reconnect()
    }

    private func send(method: String, body: [UInt8]) throws {
        let target = options.target
        try connection.send(
            target.write(method: method, path: target.path, contentType: "text/plain", body: body))
    }
}
