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

    /// Creates the streams, where that has to be done.
    func create(scratch: UnsafeMutableRawBufferPointer) throws {
        guard options.peer.creates else { return }
        for stream in 0..<options.streams {
            try send(method: "PUT", path: options.path(stream), body: [])
            while isWaiting {
                if try !receive(scratch: scratch, isBlocking: true) { try reconnect() }
            }
        }
    }

    /// Sends the append with this index, to the stream whose turn it is.
    func append(index: Int, due: Int64) throws {
        try send(
            method: "POST", path: options.peer.publishing(options.path(index % options.streams)),
            body: Message.bytes(due: due, index: index, size: options.size))
    }

    /// Reads what has come; false when the server has closed the connection and `reconnect` is due.
    func receive(scratch: UnsafeMutableRawBufferPointer, isBlocking: Bool = false) throws -> Bool {
        switch try connection.receive(scratch: scratch, isBlocking: isBlocking) {
        case .open:
            return true
        case .answered(let status, let closes):
            // nchan says 202 where nobody waits.
            guard [200, 201, 202, 204].contains(status) else {
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

    private func send(method: String, path: String, body: [UInt8]) throws {
        try connection.send(
            options.target.write(method: method, path: path, contentType: "text/plain", body: body))
    }
}
