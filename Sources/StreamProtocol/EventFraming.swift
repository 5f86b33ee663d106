/// How a stream's content travels in server-sent events (PROTOCOL section 10.3).
public enum EventEncoding: Equatable, Sendable {
    /// JSON array text.
    case json
    /// Text, repaired where it is not UTF-8.
    case text
    /// Standard base64 with padding.
    case base64

    /// The encoding of a stream's media type.
    public init(mediaType: MediaType) {
        if mediaType.isJSON {
            self = .json
        } else if mediaType.isText {
            self = .text
        } else {
            self = .base64
        }
    }
}

/// Writes server-sent events (PROTOCOL sections 10.2 to 10.4).
public enum EventFraming {
    /// The comment that keeps a connection without traffic alive.
    public static let keepAlive: StaticString = ": keep-alive\n\n"

    /// A `data` event with this content behind what `output` holds already.
    ///
    /// - Parameter content: JSON array text, text bytes, or the raw bytes to encode as base64.
    public static func writeData(
        _ content: ArraySlice<UInt8>, encoding: EventEncoding, to output: inout [UInt8]
    ) {
        output.reserveCapacity(output.count + content.count * 4 / 3 + 256)
        output.append(contentsOf: "event: data\n".utf8)
        switch encoding {
        case .json: writeLines(content, to: &output)
        case .base64:
            output.append(contentsOf: "data:".utf8)
            Base64.encode(content, to: &output)
            output.append(0x0A)
        case .text:
            if String(validating: content, as: UTF8.self) != nil {
                writeLines(content, to: &output)
            } else {
                let repaired = Array(String(decoding: content, as: UTF8.self).utf8)
                writeLines(repaired[...], to: &output)
            }
        }
        output.append(0x0A)
    }

    /// A `control` event.
    ///
    /// - Parameters:
    ///   - next: the position after the data sent so far.
    ///   - cursor: left out when the stream is closed there.
    public static func writeControl(
        next: Offset, cursor: Int64, upToDate: Bool, closed: Bool, to output: inout [UInt8]
    ) {
        output.append(contentsOf: "event: control\ndata:{\"streamNextOffset\":\"".utf8)
        next.write(to: &output)
        output.append(UInt8(ascii: "\""))
        if !closed {
            output.append(contentsOf: ",\"streamCursor\":\"".utf8)
            output.append(contentsOf: String(cursor).utf8)
            output.append(UInt8(ascii: "\""))
        }
        if upToDate { output.append(contentsOf: ",\"upToDate\":true".utf8) }
        if closed { output.append(contentsOf: ",\"streamClosed\":true".utf8) }
        output.append(contentsOf: "}\n\n".utf8)
    }

    /// Splits at CRLF, CR and LF, each piece on a `data:` line of its own, so that nothing in the
    /// content can end the event. A line that begins with a space gets one more, since clients strip one.
    private static func writeLines(_ content: ArraySlice<UInt8>, to output: inout [UInt8]) {
        var lineStart = content.startIndex
        var index = content.startIndex
        func writeLine(_ line: ArraySlice<UInt8>, _ output: inout [UInt8]) {
            output.append(contentsOf: "data:".utf8)
            if line.first == 0x20 { output.append(0x20) }
            output.append(contentsOf: line)
            output.append(0x0A)
        }
        while index < content.endIndex {
            let byte = content[index]
            if byte == 0x0A || byte == 0x0D {
                writeLine(content[lineStart..<index], &output)
                if byte == 0x0D, index + 1 < content.endIndex, content[index + 1] == 0x0A { index += 1 }
                lineStart = index + 1
            }
            index += 1
        }
        writeLine(content[lineStart...], &output)
    }
}

/// RFC 4648 section 4, with padding. The standard library has none, and Foundation's costs a copy
/// through `Data` for each event.
enum Base64 {
    private static let alphabet: StaticString =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    static func encode(_ bytes: ArraySlice<UInt8>, to output: inout [UInt8]) {
        // Byte by byte into an array it was an eighth of an event's instructions.
        let characters = [UInt8](unsafeUninitializedCapacity: (bytes.count + 2) / 3 * 4) { room, count in
            count = bytes.withUnsafeBufferPointer { encode($0, into: room) }
        }
        output.append(contentsOf: characters)
    }

    /// - Parameter room: enough for all of it.
    private static func encode(
        _ bytes: UnsafeBufferPointer<UInt8>, into room: UnsafeMutableBufferPointer<UInt8>
    ) -> Int {
        let letters = UnsafeBufferPointer(start: alphabet.utf8Start, count: alphabet.utf8CodeUnitCount)
        var (index, place) = (0, 0)
        while index + 3 <= bytes.count {
            let group = UInt32(bytes[index]) << 16 | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2])
            room[place] = letters[Int(group >> 18)]
            room[place + 1] = letters[Int(group >> 12 & 63)]
            room[place + 2] = letters[Int(group >> 6 & 63)]
            room[place + 3] = letters[Int(group & 63)]
            index += 3
            place += 4
        }
        let rest = bytes.count - index
        guard rest > 0 else { return place }
        let group = UInt32(bytes[index]) << 16 | (rest == 2 ? UInt32(bytes[index + 1]) << 8 : 0)
        room[place] = letters[Int(group >> 18)]
        room[place + 1] = letters[Int(group >> 12 & 63)]
        room[place + 2] = rest == 2 ? letters[Int(group >> 6 & 63)] : UInt8(ascii: "=")
        room[place + 3] = UInt8(ascii: "=")
        return place + 4
    }
}
