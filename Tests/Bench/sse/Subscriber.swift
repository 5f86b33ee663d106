import BenchCommon
import CLinux
import Foundation

/// One SSE connection: takes the bytes of the response apart into lines and keeps, of each line, only the
/// few bytes that tell a message from all else.
final class Subscriber: Reader {
    private enum Framing {
        case head
        case identity
        case chunkSize
        case chunk
    }

    let descriptor: Int32
    /// Whether the subscription stands: a control event has come, or the head where none comes.
    private(set) var isReady = false
    /// Messages that came twice, too early or not at all.
    private(set) var disorder = 0
    private let greets: Bool
    private let step: Int
    private var nextIndex: Int
    private var framing = Framing.head
    private var head: [UInt8] = []
    private var chunkRest = 0
    private let line = UnsafeMutablePointer<UInt8>.allocate(capacity: Message.linePrefix)
    private var lineCount = 0

    /// Opens the connection and asks for everything after the stream's tail.
    ///
    /// - Parameter first: number of the first message of this stream.
    init(options: Options, path: String, first: Int) throws {
        step = options.streams
        nextIndex = first
        greets = options.peer.greets
        descriptor = try connectTCP(host: options.target.host, port: options.target.port)
        let request = options.peer.eventRequest(path, options.target.authority)
        try sendAll(descriptor, Array(request.utf8))
    }

    /// Reads what has come, once, into `scratch`, and calls `deliver` with the due time of each message.
    func receive(scratch: UnsafeMutableRawBufferPointer, deliver: (Int64) -> Void) throws -> Bool {
        let count = recv(descriptor, scratch.baseAddress, scratch.count, Int32(MSG_DONTWAIT))
        guard count > 0 else {
            return count < 0 && (errno == EAGAIN || errno == EINTR)
        }
        let bytes = UnsafeRawBufferPointer(rebasing: scratch[..<count]).bindMemory(to: UInt8.self)
        if framing == .head {
            try readHead(bytes, deliver: deliver)
        } else {
            readBody(bytes, deliver: deliver)
        }
        return true
    }

    private func readHead(_ bytes: UnsafeBufferPointer<UInt8>, deliver: (Int64) -> Void) throws {
        head.append(contentsOf: bytes)
        guard let response = try ResponseHead.take(from: &head) else {
            return
        }
        guard response.status == 200 else {
            throw Failure("a subscription was answered with \(response.status)")
        }
        framing = response.isChunked ? .chunkSize : .identity
        isReady = !greets
        head.withUnsafeBufferPointer { readBody($0, deliver: deliver) }
        head = []
    }

    private func readBody(_ bytes: UnsafeBufferPointer<UInt8>, deliver: (Int64) -> Void) {
        var rest = bytes[...]
        while let byte = rest.first {
            switch framing {
            case .chunk:
                let part = rest.prefix(chunkRest)
                readLines(UnsafeBufferPointer(rebasing: part), deliver: deliver)
                rest = rest.dropFirst(part.count)
                chunkRest -= part.count
                if chunkRest == 0 {
                    framing = .chunkSize
                }
            case .chunkSize:
                rest = rest.dropFirst()
                readChunkSize(byte)
            case .head, .identity:
                readLines(UnsafeBufferPointer(rebasing: rest), deliver: deliver)
                return
            }
        }
    }

    /// Takes one byte of a chunk's size, or of the line end before it. No extension is expected.
    private func readChunkSize(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): chunkRest = chunkRest << 4 | Int(byte - 48)
        case UInt8(ascii: "a")...UInt8(ascii: "f"): chunkRest = chunkRest << 4 | Int(byte - 87)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): chunkRest = chunkRest << 4 | Int(byte - 55)
        case UInt8(ascii: "\n") where chunkRest > 0: framing = .chunk
        default: break
        }
    }

    private func readLines(_ bytes: UnsafeBufferPointer<UInt8>, deliver: (Int64) -> Void) {
        guard var position = bytes.baseAddress else {
            return
        }
        var rest = bytes.count
        while rest > 0 {
            let found = memchr(position, 10, rest)
            let length = found.map { UnsafeRawPointer($0) - UnsafeRawPointer(position) } ?? rest
            let kept = min(length, Message.linePrefix - lineCount)
            (line + lineCount).update(from: position, count: kept)
            lineCount += kept
            guard found != nil else {
                return
            }
            endLine(deliver: deliver)
            position += length + 1
            rest -= length + 1
        }
    }

    private func endLine(deliver: (Int64) -> Void) {
        if let message = Message.parse(line: line, count: lineCount) {
            if message.index != nextIndex {
                disorder += 1
            }
            nextIndex = message.index + step
            deliver(message.due)
        } else if lineCount > 5, line[4] == UInt8(ascii: ":"), line[5] == UInt8(ascii: "{") {
            isReady = true
        }
        lineCount = 0
    }

    deinit {
        close(descriptor)
        line.deallocate()
    }
}
