import CLinux
import Foundation

/// The head of an HTTP response, as far as the benchmark needs it. It is read byte by byte: whoever makes the load
/// shares the processors with the server, and text would cost more than the request.
public struct ResponseHead {
    /// The status code.
    public private(set) var status = 0
    /// Whether the body comes in chunks.
    public private(set) var isChunked = false
    /// Whether the connection ends with this answer.
    public private(set) var closes = false
    /// Bytes of a body that does not come in chunks; 0 when nothing says how many.
    public private(set) var contentLength = 0

    private static let longest = 64 * 1024
    private static let codeStart = "HTTP/1.1 ".utf8.count
    private static let digits = UInt8(ascii: "0")...UInt8(ascii: "9")

    /// Takes the head off the front of `bytes`; nil while it is incomplete.
    public static func take(from bytes: inout [UInt8]) throws -> ResponseHead? {
        let (end, head) = try bytes.withUnsafeBufferPointer { buffer -> (Int, ResponseHead) in
            var head = ResponseHead()
            var start = 0
            while let stop = lineEnd(buffer, from: start) {
                let line = UnsafeBufferPointer(rebasing: buffer[start..<stop])
                if start == 0 {
                    try head.takeStatus(line)
                } else if line.isEmpty {
                    return (stop + 2, head)
                } else {
                    head.takeField(line)
                }
                start = stop + 2
            }
            return (0, head)
        }
        guard end > 0 else {
            guard bytes.count < longest else {
                throw Failure("a response head over 64 KiB")
            }
            return nil
        }
        bytes.removeSubrange(..<end)
        return head
    }

    /// Where the line that begins at `start` ends, before its carriage return.
    private static func lineEnd(_ buffer: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
        guard start < buffer.count, let base = buffer.baseAddress,
            let found = memchr(base + start, 10, buffer.count - start)
        else {
            return nil
        }
        return max(start, UnsafeRawPointer(found) - UnsafeRawPointer(base) - 1)
    }

    private mutating func takeStatus(_ line: UnsafeBufferPointer<UInt8>) throws {
        let code = line.dropFirst(Self.codeStart).prefix(3)
        guard line.starts(with: "HTTP/1.".utf8), code.count == 3, code.allSatisfy(Self.digits.contains) else {
            throw Failure("not an HTTP response")
        }
        status = code.reduce(0) { $0 * 10 + Int($1 - 48) }
    }

    private mutating func takeField(_ line: UnsafeBufferPointer<UInt8>) {
        // These three are all that matter, and no others of nginx's begin like them.
        switch line.first {
        case UInt8(ascii: "C"), UInt8(ascii: "c"):
            if let value = Self.value(of: "content-length:", in: line) {
                contentLength = value.filter(Self.digits.contains).reduce(0) { $0 * 10 + Int($1 - 48) }
            } else if let value = Self.value(of: "connection:", in: line) {
                closes = String(decoding: value, as: UTF8.self).lowercased().contains("close")
            }
        case UInt8(ascii: "T"), UInt8(ascii: "t"):
            if let value = Self.value(of: "transfer-encoding:", in: line) {
                isChunked = String(decoding: value, as: UTF8.self).lowercased().contains("chunked")
            }
        default: break
        }
    }

    /// What follows a name, given in lower case.
    private static func value(
        of name: StaticString, in line: UnsafeBufferPointer<UInt8>
    ) -> Slice<UnsafeBufferPointer<UInt8>>? {
        let count = name.utf8CodeUnitCount
        guard line.count >= count, let base = line.baseAddress,
            strncasecmp(
                UnsafeRawPointer(base).assumingMemoryBound(to: CChar.self),
                UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self), count) == 0
        else {
            return nil
        }
        return line[count...]
    }
}
