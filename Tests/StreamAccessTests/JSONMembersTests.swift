import StreamAccess
import StreamProtocol
import Testing

@Suite struct JSONMembersTests {
    private static func value(_ text: String) -> JSONMembers.Value? {
        let body = Array(#"{"a":0,"k":\#(text),"z":null}"#.utf8)
        return (try? JSONMembers(body))?["k"]
    }

    private static func problem(_ body: [UInt8]) -> JSONMembers.Problem? {
        do {
            _ = try JSONMembers(body)
            return nil
        } catch {
            return error
        }
    }

    @Test(
        arguments: [
            (#""""#, .string("")), (#""read write""#, .string("read write")), ("\"é€😀\"", .string("é€😀")),
            (#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{C}\n\r\t")), (#""\u00e9\u20AC""#, .string("é€")),
            (#""a\ud83d\uDE00b""#, .string("a😀b")), (#""\u0000""#, .string("\0")),
            ("\"é\\n\"", .string("é\n")),
            ("0", .number(0, exactly: 0)), ("-0", .number(0, exactly: 0)), ("17", .number(17, exactly: 17)),
            ("-17", .number(-17, exactly: -17)), ("1.0", .number(1, exactly: 1)),
            ("1e3", .number(1000, exactly: 1000)),
            ("1E+3", .number(1000, exactly: 1000)), ("2.5e-1", .number(0.25, exactly: nil)),
            ("1.5", .number(1.5, exactly: nil)),
            ("9007199254740993", .number(9_007_199_254_740_992, exactly: 9_007_199_254_740_993)),
            ("9223372036854775807", .number(0x1p63, exactly: .max)),
            ("9223372036854775808", .number(0x1p63, exactly: nil)),
            ("1e400", .number(.infinity, exactly: nil)), ("-1e400", .number(-.infinity, exactly: nil)),
            ("true", .bool(true)), ("false", .bool(false)), ("null", .null), ("[]", .nested), ("{}", .nested),
            (#"[1,{"a":"]}","b":["\"",{}]}]"#, .nested), (#"{"k":1,"k":2}"#, .nested),
        ] as [(String, JSONMembers.Value)])
    func values(text: String, expected: JSONMembers.Value) {
        #expect(JSONMembersTests.value(text) == expected)
    }

    @Test(arguments: [
        "", "01", "+1", ".5", "1.", "1e", "1e+", "-", "--1", "0x1", "1_0", "NaN", "Infinity", "tru", "True",
        "nul", "nulll",
        "'a'", "\"a", "\"\t\"", "\"\n\"", #""\x""#, #""\u12""#, #""\u12g4""#, #""\ud800""#, #""\udc00""#,
        #""\ud800\u0041""#, #""\ud800x""#, #""\ud800\ud800""#, #""\ud83d\n""#, "[", "[1,]", "[1}", "{\"a\"}",
        "[\"]",
        #"["\"]"#, "[01]", "[tru]", "1 2", "\u{FEFF}1", "1,",
    ])
    func refusedValues(text: String) {
        #expect(JSONMembersTests.problem(Array(#"{"k":\#(text)}"#.utf8)) == .malformed)
    }

    @Test(arguments: [
        "", " ", "{", "}", "[]", "1", "null", #""a""#, "{}{}", "{},", "{} x", "{,}", #"{"a"}"#, #"{"a":1,}"#,
        #"{,"a":1}"#,
        #"{"a":1 "b":2}"#, #"{"a":1;"b":2}"#, "{a:1}", "{1:1}", "{null:1}", "{'a':1}", #"{"a":1"#,
        #"{"a":1]"#,
        "\u{FEFF}{}", #"{"a"::1}"#, "/**/{}",
    ])
    func refusedObjects(text: String) {
        #expect(JSONMembersTests.problem(Array(text.utf8)) == .malformed)
    }

    @Test(arguments: ["{}", " { } ", "\t\r\n{\n\"k\"\t:\r1 , \"l\" : [ ] }\n"])
    func whitespace(text: String) {
        #expect(JSONMembersTests.problem(Array(text.utf8)) == nil)
    }

    @Test(arguments: [
        #"{"a":1,"a":1}"#, #"{"a":1,"b":2,"a":3}"#, #"{"a":null,"\u0061":1}"#, #"{"":1,"":2}"#,
        #"{"x":[],"x":{}}"#,
        #"{"é":1,"\u00e9":1}"#,
    ])
    func duplicates(text: String) {
        #expect(JSONMembersTests.problem(Array(text.utf8)) == .duplicate)
    }

    @Test func namesAreComparedByteByByte() throws {
        let members = try JSONMembers(Array("{\"K\":1,\"\u{212A}\":2,\"\u{E9}\":3,\"e\u{301}\":4}".utf8))
        #expect(members["K"] == .number(1, exactly: 1))
        #expect(members["\u{212A}"] == .number(2, exactly: 2))
        #expect(members["e\u{301}"] == .number(4, exactly: 4))
        #expect(members["k"] == nil)
    }

    @Test func invalidUTF8() {
        for bad in [[0xFF], [0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80]] as [[UInt8]] {
            for around in [
                (#"{"k":""#, #""}"#), (#"{""#, #"":1}"#), (#"{"k":[""#, #""]}"#), (#"{"k":"\n"#, #""}"#),
            ] {
                let body = Array(around.0.utf8) + bad + Array(around.1.utf8)
                #expect(JSONMembersTests.problem(body) == .malformed)
            }
            #expect(JSONMembersTests.problem(bad + Array("{}".utf8)) == .malformed)
        }
    }

    @Test func limits() {
        func object(_ count: Int) -> [UInt8] {
            Array(("{" + (0..<count).map { "\"\($0)\":0" }.joined(separator: ",") + "}").utf8)
        }
        #expect(JSONMembersTests.problem(object(JSONMembers.maximumCount)) == nil)
        #expect(JSONMembersTests.problem(object(JSONMembers.maximumCount + 1)) == .malformed)
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(JSONMembersTests.value(nested(JSONMessages.maximumDepth)) == .nested)
        #expect(JSONMembersTests.value(nested(JSONMessages.maximumDepth + 1)) == nil)
        #expect(
            JSONMembersTests.problem(Array("{\"k\":".utf8) + [UInt8](repeating: 0x5B, count: 100_000))
                == .malformed)
    }

    /// Whatever is taken is JSON by the judgement that bodies are given, too; and most of what isn't, is not.
    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func randomChanges(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let original = Array(
            #"{"sub":"a\u00e9\ud83d\ude00","exp":-1.5e3,"x":[{"y":null},"]"],"z":true, "é":0}"#.utf8)
        var taken = 0
        for _ in 0..<5_000 {
            var body = original
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                let index = Int.random(in: 0..<body.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: body[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: body.remove(at: index)
                default: body.insert(body[Int.random(in: 0..<body.count, using: &generator)], at: index)
                }
            }
            let members = try? JSONMembers(body)
            if members != nil {
                taken += 1
                #expect(JSONMessages(body: body)?.count == 1, "seed \(seed): \(body)")
            }
        }
        #expect(taken > 500 && taken < 5_000)
    }

    @Test(
        arguments: [
            (#"{"a":[]}"#, []), (#"{"a": [ "x" , "\u00e9\"" ] }"#, ["x", "é\""]),
            (#"{"b":["n"],"a":["y"]}"#, ["y"]),
            (#"{"a":[1]}"#, nil), (#"{"a":["x",null]}"#, nil), (#"{"a":[["x"]]}"#, nil),
            (#"{"a":{"b":"x"}}"#, nil),
            (#"{"a":"x"}"#, nil), (#"{"b":[]}"#, nil),
        ] as [(String, [String]?)])
    func arraysOfStrings(text: String, strings: [String]?) throws {
        #expect(try JSONMembers(Array(text.utf8), keepsNested: true).strings("a") == strings)
    }
}
