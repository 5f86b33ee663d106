import StreamProtocol
import Testing

/// SplitMix64: the same numbers in each run for a seed, so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

/// The scanner against a slow validator that is written independently.
@Suite struct RandomJSONTests {
    private static let fragments =
        [
            "[", "]", "{", "}", ",", ":", "\"", "\\", "\\u", "\\n", "u00e9", "\"a\"", "\"é\"", "\"\"", "0",
            "1", "-", "+", ".",
            "e", "E", "12", "true", "false", "null", "tru", " ", "\n", "\t", "\r", "\u{1}", "😀", "\u{FEFF}",
            "[]", "{}",
            "{\"k\":1}", "1.5e-3", "\"\\ud800\"", "/", "\u{85}", "[[", "]]", "\0",
        ].map { Array($0.utf8) } + [[0xFF], [0xC3], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0x80]]

    private static func compare(_ body: [UInt8], _ generator: UInt64) -> Bool {
        let expected = ReferenceJSON.messages(body, maximumDepth: JSONMessages.maximumDepth)
        let found = messages(body)
        // A string's own comparison would take canonically equivalent texts for equal.
        let agrees = expected.map { $0.map { Array($0.utf8) } } == found.map { $0.map { Array($0.utf8) } }
        #expect(agrees, "seed \(generator): \(body)")
        return found != nil
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func fragmentsInAnyOrder(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var valid = 0
        for _ in 0..<8_000 {
            var body: [UInt8] = []
            for _ in 0..<Int.random(in: 1...10, using: &generator) {
                body += Self.fragments.randomElement(using: &generator) ?? []
            }
            if Self.compare(body, seed) { valid += 1 }
        }
        // Both verdicts must occur, or the comparison says nothing.
        #expect((10..<7_900).contains(valid))
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func documentsWithOneByteChanged(seed: UInt64) {
        var generator = SeededGenerator(seed: seed &* 7_919)
        var verdicts = (valid: 0, invalid: 0)
        for _ in 0..<2_000 {
            var body: [UInt8] = []
            Self.writeValue(to: &body, depth: 0, using: &generator)
            #expect(Self.compare(body, seed), "a generated document is valid")
            let place = Int.random(in: body.indices, using: &generator)
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: body[place] = UInt8.random(in: 0...255, using: &generator)
            case 1: body.remove(at: place)
            default:
                body.insert(Array("[]{},:\"\\0e.- t".utf8).randomElement(using: &generator) ?? 0, at: place)
            }
            if Self.compare(body, seed) { verdicts.valid += 1 } else { verdicts.invalid += 1 }
        }
        #expect(verdicts.valid > 100)
        #expect(verdicts.invalid > 100)
    }

    private static func writeValue(
        to body: inout [UInt8], depth: Int, using generator: inout SeededGenerator
    ) {
        space(&body, &generator)
        switch Int.random(in: 0..<(depth < 5 ? 8 : 6), using: &generator) {
        case 0:
            body += Array(
                ["0", "-0", "17", "1.25", "-3e8", "6E+2", "1e-9"].randomElement(using: &generator)?.utf8
                    ?? "".utf8)
        case 1: body += Array(["true", "false", "null"].randomElement(using: &generator)?.utf8 ?? "".utf8)
        case 2...5: writeString(to: &body, &generator)
        case 6:
            body.append(UInt8(ascii: "["))
            space(&body, &generator)
            for index in 0..<Int.random(in: 0...4, using: &generator) {
                if index > 0 { body.append(UInt8(ascii: ",")) }
                writeValue(to: &body, depth: depth + 1, using: &generator)
            }
            body.append(UInt8(ascii: "]"))
        default:
            body.append(UInt8(ascii: "{"))
            space(&body, &generator)
            for index in 0..<Int.random(in: 0...4, using: &generator) {
                if index > 0 { body.append(UInt8(ascii: ",")) }
                space(&body, &generator)
                writeString(to: &body, &generator)
                space(&body, &generator)
                body.append(UInt8(ascii: ":"))
                writeValue(to: &body, depth: depth + 1, using: &generator)
            }
            body.append(UInt8(ascii: "}"))
        }
        space(&body, &generator)
    }

    private static func writeString(to body: inout [UInt8], _ generator: inout SeededGenerator) {
        let pieces = [
            "a", "é", "€", "😀", "\\\"", "\\\\", "\\u00E9", "\\n", "]", "}", ",", " ", "\u{7F}", "\\ud834",
        ]
        body.append(UInt8(ascii: "\""))
        for _ in 0..<Int.random(in: 0...4, using: &generator) {
            body += Array(pieces.randomElement(using: &generator)?.utf8 ?? "".utf8)
        }
        body.append(UInt8(ascii: "\""))
    }

    private static func space(_ body: inout [UInt8], _ generator: inout SeededGenerator) {
        while Int.random(in: 0..<4, using: &generator) == 0 {
            body.append([0x20, 0x09, 0x0A, 0x0D].randomElement(using: &generator) ?? 0x20)
        }
    }
}
