import BenchCommon
import CLinux
import Foundation

/// A reader by long-poll: asks for what comes next as soon as it has an answer, on the same connection.
final class Poller: Reader {
    let descriptor: Int32
    /// Nobody tells that a long-poll waits; since it goes on from a position, nothing is lost either.
    let isReady = true
    private(set) var disorder = 0
    private let options: Options
    private let path: String
    private var nextIndex: Int
    private var position: PollPosition
    private var bytes: [UInt8] = []

    /// Connects and asks.
    ///
    /// - Parameters:
    ///   - start: where the stream begins.
    ///   - first: number of the first message of this stream.
    init(options: Options, path: String, start: PollPosition, first: Int) throws {
        self.options = options
        self.path = path
        position = start
        nextIndex = first
        descriptor = try connectTCP(host: options.target.host, port: options.target.port)
        try ask()
    }

    private func ask() throws {
        let request = options.peer.pollRequest(path, options.target.authority, after: position)
        try sendAll(descriptor, Array(request.utf8))
    }

    func receive(scratch: UnsafeMutableRawBufferPointer, deliver: (Int64) -> Void) throws -> Bool {
        let count = recv(descriptor, scratch.baseAddress, scratch.count, Int32(MSG_DONTWAIT))
        guard count > 0 else { return count < 0 && (errno == EAGAIN || errno == EINTR) }
        bytes.append(contentsOf: scratch[..<count])
        guard let answer = try Answer(bytes, options.peer.positionHeaders) else { return true }
        guard answer.status == 200 else { throw Failure("a long-poll was answered with \(answer.status)") }
        for line in bytes[answer.bodyStart...].split(separator: 10) {
            line.withUnsafeBufferPointer { line in
                guard let start = line.baseAddress,
                    let message = Message.parse(message: start, count: line.count)
                else { return }
                if message.index != nextIndex { disorder += 1 }
                nextIndex = message.index + options.streams
                deliver(message.due)
            }
        }
        position = answer.position
        bytes.removeAll(keepingCapacity: true)
        try ask()
        return true
    }

    deinit { close(descriptor) }
}

/// A whole answer with a length.
private struct Answer {
    let status: Int
    let bodyStart: Int
    var position = PollPosition()

    /// Nil while it is incomplete.
    init?(_ bytes: [UInt8], _ names: (first: String, second: String)) throws {
        var lineStart = 0
        var length = 0
        var status: Int?
        while let end = bytes[lineStart...].firstIndex(of: 10) {
            let line = bytes[lineStart..<max(lineStart, end - 1)]
            lineStart = end + 1
            if line.isEmpty { break }
            guard status != nil else {
                status = Int(String(decoding: line.dropFirst(9).prefix(3), as: UTF8.self))
                continue
            }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
            let value = String(decoding: line[(colon + 1)...].drop { $0 == 32 }, as: UTF8.self)
            switch name {
            case "content-length": length = Int(value) ?? 0
            case "transfer-encoding": throw Failure("the answer to a long-poll comes in chunks")
            case names.first: position.first = value
            case names.second: position.second = value
            default: break
            }
        }
        let isWhole = lineStart >= 4 && bytes[lineStart - 2] == 13 && bytes[lineStart - 3] == 10
        guard isWhole, let status, bytes.count >= lineStart + length else { return nil }
        self.status = status
        bodyStart = lineStart
    }
}
