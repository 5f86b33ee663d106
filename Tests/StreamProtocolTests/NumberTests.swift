import StreamProtocol
import Testing

/// PROTOCOL sections 4.1 and 8.1.
@Suite struct NumberTests {
    @Test(
        arguments: [
            ("0", Int64(0)), ("1", 1), ("3600", 3_600), ("007", 7), ("00", 0),
            ("9007199254740991", 9_007_199_254_740_991),
            ("00000000000000000000000000000000000001", 1),
        ] as [(String, Int64)])
    func digits(text: String, value: Int64) {
        #expect(NumberGrammar.digits(text) == value)
    }

    static let neverNumbers = [
        "", " ", "-1", "+1", "-0", "1.0", "60.5", "1e3", "1abc", "0xyz", "0x10", "abc", " 1", "1 ", "1\n",
        "1\0", "1,2",
        "1_000", "٣", "9007199254740992", "9223372036854775807", "9223372036854775808",
        "18446744073709551617",
        "99999999999999999999999999999999999999999999",
    ]

    @Test(arguments: neverNumbers)
    func notANumber(text: String) {
        #expect(NumberGrammar.digits(text) == nil)
        #expect(NumberGrammar.canonical(text) == nil)
    }

    @Test(
        arguments: [
            ("0", Int64(0)), ("1", 1), ("10", 10), ("3600", 3_600),
            ("9007199254740991", 9_007_199_254_740_991),
            ("00060", nil), ("00", nil), ("01", nil), ("05", nil),
        ] as [(String, Int64?)])
    func canonical(text: String, value: Int64?) {
        #expect(NumberGrammar.canonical(text) == value)
    }

    @Test(arguments: ["true", "TRUE", "True", "tRuE"])
    func isTrue(text: String) { #expect(NumberGrammar.isTrue(text)) }

    @Test(arguments: [
        "", "false", "1", "yes", "tru", "truee", "true ", " true", "true,true", "t\u{12}ue", "TRU\u{5}",
        "tr\u{55}e\n",
        "\u{14}rue", "ſrue",
    ])
    func isNotTrue(text: String) { #expect(!NumberGrammar.isTrue(text)) }

    /// Case folding by setting a bit would also take other characters for letters.
    @Test func onlyLettersFold() {
        for (place, letter) in "true".utf8.enumerated() {
            for byte in UInt8(1)...127 {
                var bytes = Array("true".utf8)
                bytes[place] = byte
                let expected = byte == letter || byte == letter - 0x20
                #expect(NumberGrammar.isTrue(String(decoding: bytes, as: UTF8.self)) == expected)
            }
        }
    }
}

/// PROTOCOL section 1: media types.
@Suite struct MediaTypeTests {
    @Test(
        arguments: [
            ("text/plain", "text/plain"), ("TEXT/Plain", "text/plain"),
            ("text/plain; charset=utf-8", "text/plain"),
            ("text/plain;charset=utf-8", "text/plain"), ("  text/plain \t; x=y", "text/plain"),
            ("text/plain;", "text/plain"),
            ("Application/JSON ; q=\";\"", "application/json"),
            ("application/ld+json", "application/ld+json"),
        ] as [(String, String)])
    func name(contentType: String, name: String) {
        let type = MediaType(contentType: contentType)
        #expect(type.name == name)
        #expect(type.isWellFormed)
        #expect(type == MediaType(contentType: name))
    }

    @Test(arguments: [
        "", " ", ";", "; charset=utf-8", "text", "text/", "/plain", "/", "text//plain", "text/plain/x",
        "te xt/plain",
        "text/pl ain", "text/plain, text/html", "text\\plain", "tëxt/plain", "text/pl\0ain", "(text)/plain",
    ])
    func malformed(contentType: String) {
        #expect(!MediaType(contentType: contentType).isWellFormed)
    }

    @Test(
        arguments: [
            ("application/json", true, false), ("APPLICATION/JSON;a=b", true, false),
            ("application/ld+json", false, false),
            ("application/ndjson", false, false), ("application/json-seq", false, false),
            ("text/json", false, true),
            ("text/event-stream", false, true), ("Text/HTML", false, true), ("texts/plain", false, false),
            ("application/octet-stream", false, false), ("application/jsonx", false, false),
        ] as [(String, Bool, Bool)])
    func kind(contentType: String, isJSON: Bool, isText: Bool) {
        let type = MediaType(contentType: contentType)
        #expect(type.isJSON == isJSON)
        #expect(type.isText == isText)
        let encoding: EventEncoding = isJSON ? .json : isText ? .text : .base64
        #expect(EventEncoding(mediaType: type) == encoding)
    }
}
