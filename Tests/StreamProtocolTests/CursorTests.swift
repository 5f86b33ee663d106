import StreamProtocol
import Testing

/// PROTOCOL section 9.4.
@Suite struct CursorTests {
    /// 2026-03-01T12:00:07Z.
    static let now: Int64 = 1_772_366_407_000

    @Test(
        arguments: [
            (Int64(1_728_432_000_000), Int64(0)), (1_728_432_019_999, 0), (1_728_432_020_000, 1),
            (now, 2_196_720),
            (now + 12_999, 2_196_720), (now + 13_000, 2_196_721),
        ] as [(Int64, Int64)])
    func interval(milliseconds: Int64, number: Int64) {
        #expect(Cursor.current(at: milliseconds) == number)
    }

    @Test(arguments: [nil, 0, 1, 2_196_719] as [Int64?])
    func aReaderBehindGetsTheInterval(request: Int64?) {
        var generator = SystemRandomNumberGenerator()
        #expect(Cursor.answer(to: request, at: CursorTests.now, using: &generator) == 2_196_720)
    }

    @Test(arguments: [2_196_720, 2_196_721, 5_000_000, 9_007_199_254_740_000] as [Int64])
    func aReaderNotBehindGetsAStepBeyond(request: Int64) {
        var generator = SystemRandomNumberGenerator()
        var steps: Set<Int64> = []
        for _ in 0..<20_000 {
            steps.insert(Cursor.answer(to: request, at: CursorTests.now, using: &generator) - request)
        }
        // That a step is missing after so many draws has a chance of 1 in 10^46.
        #expect(steps == Set(1...180))
    }

    @Test func aCursorThatIsEchoedAlwaysGrows() {
        var generator = SystemRandomNumberGenerator()
        var cursor: Int64?
        for request in 0..<1_000 {
            let next = Cursor.answer(to: cursor, at: CursorTests.now + Int64(request), using: &generator)
            #expect(next > cursor ?? 0)
            cursor = next
        }
    }
}

/// PROTOCOL sections 9.2 and 9.3, RFC 9110 sections 8.8.3 and 13.1.2.
@Suite struct EntityTagTests {
    static let start = Offset(incarnation: 3, position: 1)
    static let end = Offset(incarnation: 3, position: 9)

    @Test(
        arguments: [
            (Int64(3), nil, false, #""3:-1:0000000000000003_0000000000000009""#),
            (3, start, false, #""3:0000000000000003_0000000000000001:0000000000000003_0000000000000009""#),
            (35, nil, true, #""z:-1:0000000000000003_0000000000000009:c""#),
            (36, start, true, #""10:0000000000000003_0000000000000001:0000000000000003_0000000000000009:c""#),
        ] as [(Int64, Offset?, Bool, String)])
    func text(instance: Int64, start: Offset?, closed: Bool, text: String) {
        let tag = EntityTag.text(
            instance: instance, start: start, end: EntityTagTests.end, reachesClosedTail: closed)
        #expect(String(decoding: tag, as: UTF8.self) == text)
    }

    @Test(arguments: [
        #""x""#, #"W/"x""#, #" "x" "#, "\t\"x\"\t", #""a", "x""#, #""x", "a""#, #""a",W/"x""#,
        #""a","x","b""#,
        #", "x""#, #""x","#, #""a",,"x""#, "*", " * ", #"W/"a" , W/"x""#, #""", "x""#, #""a,b", "x""#,
        #""W/", "x""#,
    ])
    func matches(field: String) {
        #expect(EntityTag.matches(ifNoneMatch: field, tag: Array(#""x""#.utf8)))
    }

    @Test(arguments: [
        "", " ", ",", #""X""#, #""xx""#, #""""#, #"W/"y""#, #""a", "b""#, "x", "'x'", #""x"#, #"x""#,
        #"w/"x""#,
        #"W"x""#, #"W/ "x""#, #"W/x"#, "W", "W/", #"W/W/"x""#, #""x" "a""#, #""a" "x""#, #""a""x""#,
        #""x"W/"a""#,
        #""x"; "#, #"*, "x""#, #""x", *"#, "**", #""x", y"#, "\"x y\", \"x\"", "\"x\u{7F}\"", #""\"x""#,
        #""a,"x""#,
        #"""x"""#, "\"x\"\n", "\"x\"\0", #"("x")"#,
    ])
    func doesNotMatch(field: String) {
        #expect(!EntityTag.matches(ifNoneMatch: field, tag: Array(#""x""#.utf8)))
    }

    @Test func aRealTagMatchesItselfOnly() {
        let tags = [
            EntityTag.text(instance: 3, start: nil, end: Self.end, reachesClosedTail: false),
            EntityTag.text(instance: 3, start: nil, end: Self.end, reachesClosedTail: true),
            EntityTag.text(instance: 3, start: Self.start, end: Self.end, reachesClosedTail: false),
            EntityTag.text(instance: 4, start: nil, end: Self.end, reachesClosedTail: false),
            EntityTag.text(instance: 3, start: nil, end: Self.start, reachesClosedTail: false),
        ]
        for (row, tag) in tags.enumerated() {
            for (column, other) in tags.enumerated() {
                let field = String(decoding: other, as: UTF8.self)
                #expect(EntityTag.matches(ifNoneMatch: field, tag: tag) == (row == column))
                #expect(EntityTag.matches(ifNoneMatch: "W/" + field, tag: tag) == (row == column))
            }
        }
    }
}
