/// The head of an HTTP response, as far as the benchmark needs it.
public struct ResponseHead {
    /// The status code.
    public let status: Int
    /// Whether the body comes in chunks.
    public let isChunked: Bool
    /// Whether the connection ends with this answer.
    public let closes: Bool
    /// Bytes of a body that does not come in chunks; 0 when nothing says how many.
    public let contentLength: Int

    /// Takes the head off the front of `bytes`; nil while it is incomplete.
    public static func take(from bytes: inout [UInt8]) throws -> ResponseHead? {
        guard let end = endOfHead(bytes) else {
            guard bytes.count < 64 * 1024 else {
                throw Failure("a response head over 64 KiB")
            }
            return nil
        }
        let lines = String(decoding: bytes[..<end], as: UTF8.self).lowercased()
            .split(separator: "\r\n")
        bytes.removeSubrange(..<end)
        guard let first = lines.first, let code = first.split(separator: " ").dropFirst().first,
            let status = Int(code)
        else {
            throw Failure("not an HTTP response")
        }
        func value(_ name: String) -> Substring? {
            lines.first { $0.hasPrefix(name + ":") }?.dropFirst(name.count + 1)
        }
        return ResponseHead(
            status: status,
            isChunked: value("transfer-encoding")?.contains("chunked") ?? false,
            closes: value("connection")?.contains("close") ?? false,
            contentLength: value("content-length").flatMap { Int($0.drop { $0 == " " }) } ?? 0)
    }

    private static func endOfHead(_ bytes: [UInt8]) -> Int? {
        let mark = Array("\r\n\r\n".utf8)
        guard bytes.count >= mark.count else {
            return nil
        }
        for start in 0...(bytes.count - mark.count)
        where bytes[start..<(start + mark.count)].elementsEqual(mark) {
            return start + mark.count
        }
        return nil
    }
}
