import StreamProtocol
import Testing

/// A client's reading of an event stream, by the rules of the HTML standard (section 9.2.6).
struct EventReader {
    struct Event: Equatable {
        var type: String
        var data: [UInt8]
    }

    static func read(_ bytes: [UInt8]) -> [Event] {
        var events: [Event] = []
        var type = ""
        var data: [UInt8] = []
        var line: [UInt8] = []
        var previous: UInt8 = 0
        func endLine() {
            defer { line = [] }
            if line.isEmpty {
                if !data.isEmpty { events.append(Event(type: type, data: Array(data.dropLast()))) }
                type = ""
                data = []
                return
            }
            let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
            var value = line[min(colon + 1, line.endIndex)...]
            if value.first == 0x20 { value = value.dropFirst() }
            switch String(decoding: line[..<colon], as: UTF8.self) {
            case "event": type = String(decoding: value, as: UTF8.self)
            case "data": data += value + [0x0A]
            default: break
            }
        }
        for byte in bytes {
            if byte == 0x0A, previous == 0x0D {
                previous = byte
                continue
            }
            if byte == 0x0A || byte == 0x0D { endLine() } else { line.append(byte) }
            previous = byte
        }
        return events
    }
}

/// PROTOCOL sections 10.2 and 10.3.
@Suite struct EventFramingTests {
    private func framed(_ content: [UInt8], _ encoding: EventEncoding) -> [UInt8] {
        var output = Array("before".utf8)
        EventFraming.writeData(content[...], encoding: encoding, to: &output)
        #expect(output.starts(with: Array("before".utf8)))
        return Array(output.dropFirst(6))
    }

    private func framed(_ content: String, _ encoding: EventEncoding = .text) -> String {
        String(decoding: framed(Array(content.utf8), encoding), as: UTF8.self)
    }

    @Test(
        arguments: [
            ("one\r\ntwo\n z", "data:one\ndata:two\ndata:  z\n"), ("a", "data:a\n"), ("", "data:\n"),
            ("\n", "data:\ndata:\n"),
            ("\r", "data:\ndata:\n"), ("\r\n", "data:\ndata:\n"), ("\n\r", "data:\ndata:\ndata:\n"),
            ("\r\r\n\n", "data:\ndata:\ndata:\ndata:\n"), ("a\n\nb", "data:a\ndata:\ndata:b\n"),
            ("a\r\n", "data:a\ndata:\n"),
            (" ", "data:  \n"), ("  a", "data:   a\n"), ("\ta", "data:\ta\n"), ("a ", "data:a \n"),
            ("a\n b", "data:a\ndata:  b\n"),
            ("event: control", "data:event: control\n"), ("data:x", "data:data:x\n"), (": c", "data:: c\n"),
            ("id: 1", "data:id: 1\n"),
            ("a\u{2028}b\u{85}c\u{0B}d\u{0C}e", "data:a\u{2028}b\u{85}c\u{0B}d\u{0C}e\n"),
            ("\u{FEFF}a", "data:\u{FEFF}a\n"), ("a\0b", "data:a\0b\n"),
        ] as [(String, String)])
    func text(content: String, lines: String) {
        #expect(Array(framed(content).utf8) == Array("event: data\n\(lines)\n".utf8))
    }

    @Test func jsonIsSplitLikeText() {
        #expect(framed("[{\"a\":\r\n 1}]", .json) == "event: data\ndata:[{\"a\":\ndata:  1}]\n\n")
        #expect(framed("[1,2]", .json) == "event: data\ndata:[1,2]\n\n")
    }

    /// RFC 4648 section 10, and the example of PROTOCOL section 10.4.
    @Test(
        arguments: [
            ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] as [(String, String)])
    func base64Vectors(content: String, encoded: String) {
        #expect(framed(content, .base64) == "event: data\ndata:\(encoded)\n\n")
    }

    @Test func base64OfBytes() {
        #expect(framed([0x00, 0x0A, 0x0D, 0xFF], .base64) == Array("event: data\ndata:AAoN/w==\n\n".utf8))
        #expect(framed([0xFB, 0xEF, 0xBE], .base64) == Array("event: data\ndata:++++\n\n".utf8))
        #expect(framed([0xFF, 0xFF, 0xFF], .base64) == Array("event: data\ndata:////\n\n".utf8))
    }

    @Test func base64OfASliceRoundTrips() throws {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var generator = SeededGenerator(seed: 3)
        let all = (0..<1_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        for length in [1, 2, 3, 4, 5, 63, 64, 65, 990] {
            var output: [UInt8] = []
            EventFraming.writeData(all[7..<7 + length], encoding: .base64, to: &output)
            let event = try #require(EventReader.read(output).first)
            let lines = event.data.filter { $0 != 0x0A }
            #expect(lines.count % 4 == 0)
            var bits: [Bool] = []
            for letter in lines where letter != UInt8(ascii: "=") {
                let value = try #require(alphabet.firstIndex(of: letter))
                bits += (0..<6).map { value >> (5 - $0) & 1 == 1 }
            }
            let bytes = (0..<bits.count / 8).map { index in
                bits[index * 8..<index * 8 + 8].reduce(UInt8(0)) { $0 << 1 | ($1 ? 1 : 0) }
            }
            #expect(bytes == Array(all[7..<7 + length]))
        }
    }

    /// Whatever the content, a client sees one event of type `data` and the text with LF line ends.
    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func nothingGetsOut(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let fragments = [
            "\n", "\r", "\r\n", "\n\n", " ", "event: control", "event: data", "data:", "data: ", ":", "id: 7",
            "retry: 1",
            "{\"streamNextOffset\":\"x\"}", "é", "😀", "\0", "a", "\u{FEFF}",
            "\n\nevent: control\ndata:{}\n\n",
        ]
        for _ in 0..<2_000 {
            var content = ""
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                content.unicodeScalars.append(
                    contentsOf: (fragments.randomElement(using: &generator) ?? "").unicodeScalars)
            }
            var expected: [UInt8] = []
            var previous: UInt8 = 0
            for byte in content.utf8 {
                if byte != 0x0A || previous != 0x0D { expected.append(byte == 0x0D ? 0x0A : byte) }
                previous = byte
            }
            var output: [UInt8] = []
            EventFraming.writeData(Array(content.utf8)[...], encoding: .text, to: &output)
            EventFraming.writeControl(
                next: Offset(incarnation: 1, position: 2), cursor: 3, upToDate: false, closed: false,
                to: &output)
            let events = EventReader.read(output)
            #expect(events.count == 2)
            #expect(events.first == EventReader.Event(type: "data", data: expected), "\(Array(content.utf8))")
            #expect(events.last?.type == "control")
        }
    }

    @Test func invalidTextIsRepaired() {
        #expect(
            framed([0x61, 0xFF, 0x0A, 0x62], .text) == Array("event: data\ndata:a\u{FFFD}\ndata:b\n\n".utf8))
        #expect(framed([0xC3], .text) == Array("event: data\ndata:\u{FFFD}\n\n".utf8))
    }

    private static let token = "0000000000000003_0000000000000012"

    @Test(
        arguments: [
            (false, false, #"{"streamNextOffset":"\#(token)","streamCursor":"2196720"}"#),
            (true, false, #"{"streamNextOffset":"\#(token)","streamCursor":"2196720","upToDate":true}"#),
            (true, true, #"{"streamNextOffset":"\#(token)","upToDate":true,"streamClosed":true}"#),
        ] as [(Bool, Bool, String)])
    func control(upToDate: Bool, closed: Bool, json: String) {
        var output: [UInt8] = []
        EventFraming.writeControl(
            next: Offset(incarnation: 3, position: 12), cursor: 2_196_720, upToDate: upToDate, closed: closed,
            to: &output)
        #expect(String(decoding: output, as: UTF8.self) == "event: control\ndata:\(json)\n\n")
        #expect(JSONMessages(body: Array(json.utf8))?.count == 1)
    }

    @Test func keepAliveIsAComment() {
        let bytes = Array(EventFraming.keepAlive.description.utf8)
        #expect(bytes == Array(": keep-alive\n\n".utf8))
        #expect(EventReader.read(bytes).isEmpty)
    }
}

/// PROTOCOL sections 10.2 and 10.3: where text may be cut.
@Suite struct UTF8TextTests {
    /// How many bytes at the end are a proper beginning of a character, by trying all characters' lengths.
    private func reference(_ bytes: [UInt8]) -> Int {
        for back in 1...3 where back <= bytes.count {
            let tail = Array(bytes.suffix(back))
            // Some completion makes it exactly one character.
            for more in 1...3 where back + more <= 4 {
                for filler: [UInt8] in [
                    [0x80, 0x80, 0x80], [0xBF, 0xBF, 0xBF], [0x90, 0x80, 0x80], [0xA0, 0x80, 0x80],
                ] {
                    if let text = String(validating: tail + filler.prefix(more), as: UTF8.self),
                        text.unicodeScalars.count == 1
                    {
                        return back
                    }
                }
            }
        }
        return 0
    }

    @Test func everyTailOfUpToThreeBytes() {
        let interesting: [UInt8] = [
            0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC,
            0xED, 0xEE, 0xEF,
            0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
        ]
        for first in interesting {
            #expect(UTF8Text.incompleteTail(of: [first]) == reference([first]))
            for second in interesting {
                #expect(UTF8Text.incompleteTail(of: [first, second]) == reference([first, second]))
                for third in interesting {
                    let bytes = [first, second, third]
                    #expect(UTF8Text.incompleteTail(of: bytes[...]) == reference(bytes), "\(bytes)")
                }
            }
        }
    }

    @Test(arguments: ["é", "€", "😀", "\u{10FFFF}", "\u{D7FF}"])
    func everyCutOfACharacter(character: String) {
        let bytes = Array("ab\(character)".utf8)
        for end in 2...bytes.count {
            let expected = end == bytes.count ? 0 : end - 2
            #expect(UTF8Text.incompleteTail(of: bytes[1..<end]) == expected)
        }
        #expect(UTF8Text.incompleteTail(of: []) == 0)
    }
}
