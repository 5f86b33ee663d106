import CLinux
import Foundation

/// Appends on one keep-alive connection, one request at a time.
final class Writer {
    private static let lastChunk = Array("0\r\n\r\n".utf8)
    private let options: Options
    private(set) var descriptor: Int32
    private var answer: [UInt8] = []
    private var head: ResponseHead?
    /// Whether a request has no answer yet.
    private(set) var isWaiting = false

    init(options: Options) throws {
        self.options = options
        descriptor = try connectTCP(host: options.host, port: options.port)
    }

    /// Creates the stream.
    func create() throws {
        try send(method: "PUT", body: [])
        var scratch = [UInt8](repeating: 0, count: 16 * 1024)
        while isWaiting {
            let count = recv(descriptor, &scratch, scratch.count, 0)
            guard count > 0 else {
                throw Failure("no answer to the creation of the stream")
            }
            try take(scratch[..<count])
        }
    }

    /// Sends the append with this index.
    func append(index: Int, due: Int64) throws {
        try send(method: "POST", body: Message.bytes(due: due, index: index, size: options.size))
    }

    /// Reads what has come; false when the server has closed the connection and `reconnect` is due.
    func receive(scratch: UnsafeMutableRawBufferPointer) throws -> Bool {
        let count = recv(descriptor, scratch.baseAddress, scratch.count, Int32(MSG_DONTWAIT))
        if count < 0 && (errno == EAGAIN || errno == EINTR) {
            return true
        }
        guard count > 0 else {
            guard !isWaiting else {
                throw Failure("the server closed the connection in place of an answer")
            }
            return false
        }
        return try take(scratch[..<count])
    }

    /// Opens a connection in place of the one that the server closed.
    func reconnect() throws {
        close(descriptor)
        answer = []
        descriptor = try connectTCP(host: options.host, port: options.port)
    }

    private func send(method: String, body: [UInt8]) throws {
        let head =
            "\(method) \(options.path) HTTP/1.1\r\nHost: \(options.host):\(options.port)\r\n"
            + "Content-Type: text/plain\r\nContent-Length: \(body.count)\r\n\r\n"
        isWaiting = true
        try sendAll(descriptor, Array(head.utf8) + body)
    }

    /// Adds to the answer; false when it says that the connection closes.
    @discardableResult
    private func take(_ bytes: some Collection<UInt8>) throws -> Bool {
        answer.append(contentsOf: bytes)
        if head == nil {
            head = try ResponseHead.take(from: &answer)
        }
        guard let response = head else {
            return true
        }
        guard [200, 201, 204].contains(response.status) else {
            throw Failure("a write was answered with \(response.status)")
        }
        let isComplete =
            response.isChunked
            ? answer.suffix(Self.lastChunk.count).elementsEqual(Self.lastChunk)
            : answer.count >= response.contentLength
        guard isComplete else {
            return true
        }
        answer = []
        head = nil
        isWaiting = false
        return !response.closes
    }

    deinit {
        close(descriptor)
    }
}
