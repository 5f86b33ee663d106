import CLinux
import Foundation

/// A keep-alive connection with one request on it at a time.
public final class Connection {
    /// What a read has brought.
    public enum Outcome: Equatable {
        /// Nothing that ends anything.
        case open
        /// The whole answer to the request, with this status; `closes` when no other request may follow.
        case answered(status: Int, closes: Bool)
        /// The server has closed the connection.
        case closed
    }

    private static let lastChunk = Array("0\r\n\r\n".utf8)
    private let target: Target
    /// The open socket.
    public private(set) var descriptor: Int32
    /// Whether a request has no answer yet.
    public private(set) var isWaiting = false
    private var answer: [UInt8] = []
    private var head: ResponseHead?

    /// Connects.
    public init(target: Target) throws {
        self.target = target
        descriptor = try connectTCP(host: target.host, port: target.port)
    }

    /// Sends one request, and blocks while the socket takes no more.
    public func send(_ request: [UInt8]) throws {
        isWaiting = true
        try sendAll(descriptor, request)
    }

    /// Reads what has come, once; waits for it if `isBlocking`, ten seconds at most.
    public func receive(scratch: UnsafeMutableRawBufferPointer, isBlocking: Bool = false) throws -> Outcome {
        let flags = isBlocking ? 0 : Int32(MSG_DONTWAIT)
        let count = recv(descriptor, scratch.baseAddress, scratch.count, flags)
        guard count > 0 else {
            let isQuiet = count < 0 && (errno == EINTR || (errno == EAGAIN && !isBlocking))
            return isQuiet ? .open : .closed
        }
        return try take(scratch[..<count])
    }

    /// Opens a connection in place of this one.
    public func reconnect() throws {
        close(descriptor)
        // So that a failure below does not close it twice.
        descriptor = -1
        answer = []
        head = nil
        isWaiting = false
        descriptor = try connectTCP(host: target.host, port: target.port)
    }

    private func take(_ bytes: some Collection<UInt8>) throws -> Outcome {
        answer.append(contentsOf: bytes)
        if head == nil {
            head = try ResponseHead.take(from: &answer)
        }
        guard let response = head else {
            return .open
        }
        let isComplete =
            response.isChunked
            ? answer.suffix(Self.lastChunk.count).elementsEqual(Self.lastChunk)
            : answer.count >= response.contentLength
        guard isComplete else {
            return .open
        }
        answer.removeAll(keepingCapacity: true)
        head = nil
        isWaiting = false
        return .answered(status: response.status, closes: response.closes)
    }

    deinit {
        close(descriptor)
    }
}
