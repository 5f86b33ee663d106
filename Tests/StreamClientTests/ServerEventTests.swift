import StreamClient
import Testing

@Suite("Server-sent events as they come")
struct ServerEventTests {
    private static let response = """
        \u{FEFF}: a comment
        event: data
        data:[1,
        data: 2]

        event: control
        data:{"streamNextOffset":"x"}
        id: 7

        data

        event: nothing

        :
        """ + "\n"

    private static let expected = [
        ServerEvent(type: "data", data: Array("[1,\n2]".utf8)),
        ServerEvent(type: "control", data: Array(#"{"streamNextOffset":"x"}"#.utf8)),
        ServerEvent(type: "message", data: []),
    ]

    @Test(arguments: ["\n", "\r\n", "\r"], [1, 2, 3, 7, 1_000])
    func partsOfAnySize(lineEnd: String, size: Int) {
        let lines = Self.response.split(separator: "\n", omittingEmptySubsequences: false)
        let bytes = Array(lines.joined(separator: lineEnd).utf8)
        var parser = ServerEventParser()
        var events: [ServerEvent] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            events += bytes[start..<min(start + size, bytes.count)].withUnsafeBytes { parser.take($0) }
        }
        #expect(events == Self.expected)
        #expect(parser.comments == 2)
    }

    @Test func anEventThatIsCutOffIsNone() {
        var parser = ServerEventParser()
        #expect(Array("event: data\ndata:x\n".utf8).withUnsafeBytes { parser.take($0) } == [])
    }
}

@Suite("Header fields as people write them")
struct HTTPFieldTests {
    @Test func aLine() {
        #expect(HTTPField(line: "X-A:  b c ") == HTTPField("X-A", "b c"))
        #expect(HTTPField(line: "X-A:") == HTTPField("X-A", ""))
    }

    @Test(arguments: ["", ":", "X A: b", "X-A", "X-A: b\r\nX-B: c", "X-A: b\nc", "X\u{0}: b", "Ä: b"])
    func noLine(text: String) {
        #expect(HTTPField(line: text) == nil)
    }
}
