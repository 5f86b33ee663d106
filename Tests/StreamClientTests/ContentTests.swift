import StreamClient
import Testing

@Suite("Base64 as events carry it")
struct Base64Tests {
    @Test(arguments: [
        ("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9v\nYmE=", "fooba"),
        ("Zm9vYmFy", "foobar"),
    ])
    func vectors(text: String, bytes: String) {
        #expect(Base64.decode(text.utf8) == Array(bytes.utf8))
    }

    @Test(arguments: ["Z", "Zg", "Zg=", "Zm9", "Zg==Zg==", "Zm9v=", "Z-_v", "Zm 9v", "===="])
    func textsThatAreNone(text: String) {
        #expect(Base64.decode(text.utf8) == nil)
    }

    @Test func allBytes() {
        #expect(Base64.decode("+/+A".utf8) == [0xFB, 0xFF, 0x80])
    }
}

@Suite("Messages of an array")
struct MessageArrayTests {
    @Test(arguments: [
        ("[]", []), ("[1]", ["1"]), ("[1,[2,3],{\"a\":[4]}]", ["1", "[2,3]", "{\"a\":[4]}"]),
        ("[\"],[\",\"\\\"]\",\"\\\\\"]", ["\"],[\"", "\"\\\"]\"", "\"\\\\\""]),
        ("[[],\"\"]", ["[]", "\"\""]),
    ])
    func elements(array: String, expected: [String]) {
        let found = MessageArray.messages(Array(array.utf8))
        #expect(found?.map { String(decoding: $0, as: UTF8.self) } == expected)
    }

    @Test(arguments: ["[", "[1", "]", "[\"", "[1]]", "[\"\\\"]"])
    func cutArrays(array: String) {
        #expect(MessageArray.messages(Array(array.utf8)) == nil)
    }

    @Test func deepNesting() {
        let message = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
        #expect(MessageArray.messages(Array("[\(message),1]".utf8))?.count == 2)
    }

    @Test func oneLine() {
        #expect(MessageArray.line(Array("{\r\n\"a\": 1}".utf8)[...]) == Array("{  \"a\": 1}\n".utf8))
    }
}
