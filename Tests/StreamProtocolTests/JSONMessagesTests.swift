import StreamProtocol
import Testing

/// The messages of a body as text; nil when it is refused.
func messages(_ body: [UInt8]) -> [String]? {
    guard let parsed = JSONMessages(body: body) else { return nil }
    var texts: [String] = []
    var start = 0
    for end in parsed.ends {
        texts.append(String(decoding: parsed.payload[start..<end], as: UTF8.self))
        start = end + 1
    }
    return texts
}

private func messages(_ body: String) -> [String]? { messages(Array(body.utf8)) }

/// PROTOCOL section 5.
@Suite struct JSONMessagesTests {
    @Test(
        arguments: [
            (#"{"k":1}"#, [#"{"k":1}"#]), (#"[{"k":1},{"k":2}]"#, [#"{"k":1}"#, #"{"k":2}"#]),
            ("[[7,8],[9]]", ["[7,8]", "[9]"]), ("[[[7,8]]]", ["[[7,8]]"]),
            (#"["a", 5 ,null]"#, [#""a""#, "5", "null"]),
            (
                #"[{"v": 1.50}, 12345678901234567890,7]"#,
                [#"{"v": 1.50}"#, "12345678901234567890", "7"]
            ),
            ("[]", []), ("[ ]", []), (" \t\r\n[\n]\n", []), ("[[]]", ["[]"]), ("[[],[]]", ["[]", "[]"]),
            ("{}", ["{}"]),
            ("[{}]", ["{}"]), (#"" ""#, [#"" ""#]), ("true", ["true"]), ("false", ["false"]),
            ("null", ["null"]),
            (" 1 ", ["1"]), ("0", ["0"]), ("-0", ["-0"]), ("1.0", ["1.0"]), ("1e400", ["1e400"]),
            ("-0.0E-0", ["-0.0E-0"]),
            ("1E+2", ["1E+2"]), ("[1,1]", ["1", "1"]), (#""\u00e9""#, [#""\u00e9""#]),
            (#"{"a":1,"a":2}"#, [#"{"a":1,"a":2}"#]),
            ("[{ \"a\" : [ 1 , 2 ] }\t,\r\n\"x\"]", ["{ \"a\" : [ 1 , 2 ] }", "\"x\""]),
            (#"{"b":1, "a":2}"#, [#"{"b":1, "a":2}"#]),
            (#""\ud800""#, [#""\ud800""#]),
            (#"["\udfff\uD834","\ud834\udd1e"]"#, [#""\udfff\uD834""#, #""\ud834\udd1e""#]),
            (#""\"\\\/\b\f\n\r\t""#, [#""\"\\\/\b\f\n\r\t""#]), (#""\u0000""#, [#""\u0000""#]),
            ("\"\u{7F}\"", ["\"\u{7F}\""]),
            ("\"é€😀\u{10FFFF}\"", ["\"é€😀\u{10FFFF}\""]),
            (#"["]",",","[","}"]"#, [#""]""#, #"",""#, #""[""#, #""}""#]),
            (#"{"":{"":""}}"#, [#"{"":{"":""}}"#]), ("\"\u{FEFF}\"", ["\"\u{FEFF}\""]),
            ("\"\u{2028}\"", ["\"\u{2028}\""]),
        ] as [(String, [String])])
    func accepted(body: String, expected: [String]) throws {
        let parsed = try #require(JSONMessages(body: Array(body.utf8)))
        #expect(messages(body) == expected)
        #expect(parsed.count == expected.count)
        #expect(parsed.payload == Array(expected.joined(separator: ",").utf8))
    }

    @Test(arguments: [
        "", " ", "\t\r\n", "[", "]", "{", "}", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1 2]", "[1,,2]", "1 2",
        "1,2", "[1][2]",
        "{}{}", "{} 1", "[] []", "[1]]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\" 1}", "{a:1}",
        "{1:1}",
        "{\"a\":1 \"b\":2}", "{\"a\":1]", "[1}", "{\"a\",1}", "{:1}", "{null:1}", "'a'", "\"", "\"a", "a\"",
        #""\""#, #""\x""#,
        #""\u""#, #""\u12""#, #""\u123""#, #""\u12g4""#, #""\U0041""#, #""\'""#, "\"\n\"", "\"\t\"", "\"\0\"",
        "\"\u{1F}\"",
        "01", "-", "-01", "+1", "1.", ".5", "1.e2", "1e", "1e+", "1e-", "0x10", "1_0", "--1", "1.2.3",
        "1e2e3", "1e2.5", "00",
        "NaN", "Infinity", "-Infinity", "nan", "True", "tru", "truee", "nul", "nulll", "fals", "truefalse",
        "undefined",
        "/*c*/1", "1//c", "[1,/**/2]", "#1", "\u{FEFF}1", "\u{FEFF}[1]", "1\u{FEFF}", "[1]\0", "\0",
        "\u{A0}1", "\u{0B}1",
        "\u{0C}1", "1\u{85}", "\u{2028}1", "[1,\u{3000}2]", "[\"a\":1]", "{\"a\":1,\"b\"}",
        "{\"a\":{\"b\":1}", "[[1]", "[[1],",
        "[tru]", "[1,2", "{[]:1}", "{\"a\":[}", "[\"a]", "٣", "[٣]", "１", "{\"a\"::1}", "{\"a\":1;}",
        "[true false]", ",", ":",
    ])
    func refused(body: String) { #expect(messages(body) == nil) }

    @Test(
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE2, 0x82],
            [0xE2, 0x28, 0xA1],
            [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
            [0xF0, 0x80, 0x80, 0x80],
            [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x9F, 0x98], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
            [0xFE],
            [0xFF], [0xF8, 0x88, 0x80, 0x80, 0x80], [0x61, 0xC3, 0xC3, 0xA9],
        ] as [[UInt8]])
    func invalidUTF8(sequence: [UInt8]) {
        let quote = UInt8(ascii: "\"")
        #expect(messages([quote] + sequence + [quote]) == nil)
        #expect(messages(Array("{\"a".utf8) + sequence + Array("\":1}".utf8)) == nil)
        #expect(messages(Array("[1,\"".utf8) + sequence + Array("\"]".utf8)) == nil)
        #expect(messages(Array("[1,".utf8) + sequence + Array("]".utf8)) == nil)
        #expect(messages([quote] + sequence) == nil)
    }

    @Test(
        arguments: [
            [0x7F], [0xC2, 0x80], [0xDF, 0xBF], [0xE0, 0xA0, 0x80], [0xED, 0x9F, 0xBF], [0xEE, 0x80, 0x80],
            [0xEF, 0xBF, 0xBF], [0xF0, 0x90, 0x80, 0x80], [0xF4, 0x8F, 0xBF, 0xBF],
        ] as [[UInt8]])
    func validUTF8AtTheEdges(sequence: [UInt8]) {
        let body = [UInt8(ascii: "\"")] + sequence + [UInt8(ascii: "\"")]
        #expect(JSONMessages(body: body)?.payload == body)
        for cut in 1..<max(2, sequence.count) where cut < sequence.count {
            #expect(messages([UInt8(ascii: "\"")] + sequence[..<cut] + [UInt8(ascii: "\"")]) == nil)
        }
    }

    @Test(arguments: [("[", "]", ""), ("{\"a\":", "}", "1"), ("[1,", ",2]", "3"), ("[{\"a\":[", "]}]", "")])
    func nesting(open: String, close: String, core: String) {
        let perStep = open.filter { "[{".contains($0) }.count
        for depth in [perStep, 510, 511, 512, 513, 514, 515, 600] where depth % perStep == 0 || depth > 515 {
            let steps = depth / perStep
            let body = String(repeating: open, count: steps) + core + String(repeating: close, count: steps)
            #expect((messages(body) != nil) == (steps * perStep <= 512), "depth \(steps * perStep)")
        }
    }

    @Test func nestingCountsTheOuterArrayAndResets() {
        let deep = String(repeating: "[", count: 511) + String(repeating: "]", count: 511)
        #expect(messages("[\(deep),\(deep),{\"a\":1}]")?.count == 3)
        #expect(messages("[1,[\(deep)]]") == nil)
        #expect(messages("{\"a\":\(deep),\"b\":\(deep)}")?.count == 1)
        #expect(messages("{\"a\":1,\"b\":[\(deep)]}") == nil)
    }

    @Test func hostileDepthCostsNoStack() {
        #expect(JSONMessages(body: Array(repeating: UInt8(ascii: "["), count: 4 << 20)) == nil)
        #expect(JSONMessages(body: Array(String(repeating: "{\"a\":", count: 1 << 20).utf8)) == nil)
    }

    @Test func hugeBodies() throws {
        let many = Array("[".utf8) + Array(String(repeating: "1, ", count: 1_000_000).utf8) + Array("1]".utf8)
        let parsed = try #require(JSONMessages(body: many))
        #expect(parsed.count == 1_000_001)
        #expect(parsed.payload.count == 2_000_001)
        #expect(parsed.ends.last == parsed.payload.count)
        let long = Array("\"".utf8) + Array(repeating: UInt8(ascii: "x"), count: 8 << 20) + Array("\"".utf8)
        #expect(JSONMessages(body: long)?.payload == long)
        let digits = Array(repeating: UInt8(ascii: "9"), count: 1 << 20)
        #expect(JSONMessages(body: digits)?.payload == digits)
    }

    @Test func everyCutOfAValidBodyIsRefused() {
        let body = Array(#" [{"k é":[1.5e-3,true,null,"\u00e9\n"]}, "x" ,[]] "#.utf8)
        #expect(messages(body)?.count == 3)
        // Only the white space at the end is dispensable.
        for length in 0..<body.count - 1 { #expect(messages(Array(body[..<length])) == nil) }
    }
}
