import StreamProtocol
import Testing

/// PROTOCOL sections 2.1 to 2.3.
@Suite struct OffsetTests {
    @Test(
        arguments: [
            (Int64(0), Int64(0), "0000000000000000_0000000000000000"),
            (1, 0, "0000000000000001_0000000000000000"),
            (42, 1_234_567_890, "0000000000000042_0000001234567890"),
            (9_999_999_999_999_999, 9_999_999_999_999_999, "9999999999999999_9999999999999999"),
            (1_000_000_000_000_000, 10, "1000000000000000_0000000000000010"),
        ] as [(Int64, Int64, String)])
    func textAndBack(incarnation: Int64, position: Int64, text: String) throws {
        let offset = Offset(incarnation: incarnation, position: position)
        #expect(offset.text == text)
        var bytes = Array("=".utf8)
        offset.write(to: &bytes)
        #expect(bytes == Array("=\(text)".utf8))
        #expect(try #require(Offset(Array(text.utf8))) == offset)
        #expect(text.utf8.count == Offset.textLength)
    }

    @Test func textOrderIsPositionOrder() {
        let positions: [Int64] = [
            0, 1, 9, 10, 11, 99, 100, 65_535, 1 << 40, Offset.maximum - 1, Offset.maximum,
        ]
        let texts = positions.map { Offset(incarnation: 7, position: $0).text }
        #expect(texts == texts.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        #expect(Set(texts).count == positions.count)
    }

    @Test func onlyAllZerosIsTheStart() {
        #expect(Offset(incarnation: 0, position: 0).isZero)
        #expect(!Offset(incarnation: 0, position: 1).isZero)
        #expect(!Offset(incarnation: 1, position: 0).isZero)
    }

    static let malformed = [
        "", " ", "-1 ", " -1", "--1", "-01", "-1,now", "-2", "+1", "-", "NOW", "Now", "noW", "now ", " now",
        "now\n", "now\0", "nowx", "latest", "start", "0", "1_2", "_", "*", "..", "/", "\r\n", ",",
        "0000000000000001_000000000000000", "000000000000001_0000000000000000",
        "0000000000000001_00000000000000000", "00000000000000001_0000000000000000",
        "0000000000000001-0000000000000000", "0000000000000001__000000000000000",
        "0000000000000001_0000000000000000\n", "\n0000000000000001_0000000000000000",
        " 0000000000000001_0000000000000000", "0000000000000001_0000000000000000 ",
        "0000000000000001_0000000000000000_0000000000000000", "00000000000000010_000000000000000",
        "000000000000000a_0000000000000000", "0000000000000001_000000000000000x",
        "-000000000000001_0000000000000000", "0000000000000001_+000000000000000",
        "0000000000000001 0000000000000000", "0000000000000001_00000000,0000000",
        "0000000000000001_00000000/0000000", "0000000000000001_0000000..0000000",
        "0000000000000001_000000000000000\0", "0000000000000001_00000000\r0000000",
        "٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠_٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠", "000000000000001٠_00000000000000",
    ]

    @Test(arguments: malformed)
    func malformedValueIsRefused(value: String) {
        #expect(RequestedOffset(value: Array(value.utf8)) == nil)
        #expect(Offset(Array(value.utf8)) == nil)
    }

    @Test(arguments: UInt8.min...UInt8.max)
    func everyByteAtEveryPlace(byte: UInt8) {
        let valid = Array("0000000000000001_0000000000000002".utf8)
        for place in valid.indices {
            var bytes = valid
            bytes[place] = byte
            let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            #expect((Offset(bytes) != nil) == (place == 16 ? byte == UInt8(ascii: "_") : isDigit))
        }
    }

    @Test func sentinelsAreNoTokens() {
        #expect(Offset(Array("-1".utf8)) == nil)
        #expect(Offset(Array("now".utf8)) == nil)
        #expect(RequestedOffset(value: Array("-1".utf8)) == .start)
        #expect(RequestedOffset(value: Array("now".utf8)) == .now)
    }

    @Test func tokens() {
        #expect(RequestedOffset(value: Array("0000000000000000_0000000000000000".utf8)) == .start)
        #expect(
            RequestedOffset(value: Array("0000000000000000_0000000000000003".utf8))
                == .token(Offset(incarnation: 0, position: 3)))
        #expect(
            RequestedOffset(value: Array("9999999999999999_9999999999999999".utf8))
                == .token(Offset(incarnation: Offset.maximum, position: Offset.maximum)))
    }
}

/// PROTOCOL sections 2.3, 4.3 and 9.4.
@Suite struct ReadQueryTests {
    static let token = "0000000000000004_0000000000000017"
    static let parsed = RequestedOffset.token(Offset(incarnation: 4, position: 17))

    @Test(
        arguments: [
            (nil, RequestedOffset.start, false), ("", .start, false), ("cursor=1", .start, false),
            ("offset=-1", .start, true), ("offset=now", .now, true), ("offset=%6eow", .now, true),
            ("offset=%2D1", .start, true), ("%6Fffset=now", .now, true), ("a&offset=now&b=1", .now, true),
            ("offset=\(token)", parsed, true), ("offset=\(token)&offsets=1&Offset=2", parsed, true),
            ("offset=0000000000000004%5F0000000000000017", parsed, true),
            ("offset=00000000000000%304_0000000000000017&&", parsed, true),
            ("offset=0000000000000000_0000000000000000", .start, true),
            ("xoffset=7&offset =7", .start, false),
        ] as [(String?, RequestedOffset, Bool)])
    func offsetIsRead(query: String?, offset: RequestedOffset, given: Bool) {
        let query = ReadQuery(query)
        #expect(query.offset == offset)
        #expect(query.hasOffset == given)
        #expect(query.mode == .catchUp)
    }

    @Test(arguments: [
        "offset=", "offset", "offset=&offset=", "offset=-1&offset=-1", "offset=now&offset=now",
        "offset=\(token)&offset=\(token)", "offset=x&offset=now", "offset=now&%6Fffset=x",
        "offset=now&offset",
        "offset=+-1", "offset=-1+", "offset=%20now", "offset=now%00", "offset=now%0A", "offset=now%0d",
        "offset=\(token)%0A", "offset=%0D\(token)", "offset=\(token)%20", "offset=\(token)+",
        "offset=0000000000000004%2F0000000000000017", "offset=0000000000000004%2C0000000000000017",
        "offset=%256eow", "offset=%2", "offset=%", "offset=%zz", "offset=now%", "offset=now%2",
        "offset=%6now",
        "offset=NOW", "offset=-2", "offset=0", "offset=1_2", "offset=latest", "offset==now", "offset=..",
        "offset=now;offset=now", "offset=%C0%AD1", "offset=%FF", "offset=a,b", "offset=now#",
    ])
    func offsetIsRefused(query: String) {
        let query = ReadQuery(query)
        #expect(query.offset == nil)
        #expect(query.hasOffset)
    }

    @Test(
        arguments: [
            ("live=long-poll", ReadMode.longPoll), ("live=sse", .serverSentEvents),
            ("live=%73se", .serverSentEvents),
            ("live", .catchUp), ("live=", .catchUp), ("live=SSE", .catchUp), ("live=Long-Poll", .catchUp),
            ("live=true", .catchUp), ("live=1", .catchUp), ("live=sse+", .catchUp), ("Live=sse", .catchUp),
            ("offset=-1&live=sse", .serverSentEvents), ("live=long_poll", .catchUp),
            ("live=%256cong-poll", .catchUp),
        ] as [(String, ReadMode)])
    func mode(query: String, mode: ReadMode) {
        #expect(ReadQuery(query).mode == mode)
        #expect(mode.isLive == (mode != .catchUp))
    }

    @Test(
        arguments: [
            ("cursor=0", Int64(0)), ("cursor=2196720", 2_196_720), ("cursor=007", 7),
            ("cursor=9007199254740000", 9_007_199_254_740_000), ("cursor=9007199254740001", nil),
            ("cursor=99999999999999999999999999", nil), ("cursor=", nil), ("cursor", nil), ("cursor=-1", nil),
            ("cursor=%2B1", nil), ("cursor=+1", nil), ("cursor=1.0", nil), ("cursor=1e3", nil),
            ("cursor=abc", nil), ("cursor=%31%32", 12), ("live=sse", nil),
        ] as [(String, Int64?)])
    func cursor(query: String, cursor: Int64?) {
        #expect(ReadQuery(query).cursor == cursor)
        #expect(ReadQuery(query).offset == .start)
    }
}
