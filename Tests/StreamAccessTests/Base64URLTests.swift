import StreamAccess
import Testing

/// RFC 4648 section 5 without padding.
@Suite struct Base64URLTests {
    @Test(arguments: [
        ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"),
        ("foobar", "Zm9vYmFy"),
    ])
    func vectors(plain: String, text: String) {
        #expect(Base64URL.encode(plain.utf8) == text)
        #expect(Base64URL.decode(text.utf8) == Array(plain.utf8))
    }

    @Test func digitsBeyondLetters() {
        #expect(Base64URL.encode([0xFB, 0xFF, 0xBF]) == "-_-_")
        #expect(Base64URL.decode("-_-_".utf8) == [0xFB, 0xFF, 0xBF])
    }

    @Test(arguments: [
        "Z", "Zg==", "Zg=", "Zm9vY", "Zm8=", "Zh", "Zn", "Zm9", "Zm-", "Zm9vYh", "+/+/", "Zm 9", " Zm9v",
        "Zm9v\n",
        "Zm9é", "Zm9\0", "Z.g", "====",
    ])
    func refused(text: String) {
        #expect(Base64URL.decode(text.utf8) == nil)
    }

    @Test func everyTextOfTwoAndThreeCharactersIsTakenOnceAtMost() {
        let characters = (0..<256).map { UInt8($0) }
        var seen = Set<[UInt8]>()
        for first in characters {
            for second in characters {
                guard let bytes = Base64URL.decode([first, second]) else { continue }
                #expect(seen.insert(bytes).inserted)
                #expect(Array(Base64URL.encode(bytes).utf8) == [first, second])
            }
        }
        #expect(seen.count == 256)
    }

    @Test func roundTripOfEveryLength() {
        var generator = SeededGenerator(seed: 1)
        for count in 0..<200 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let text = Base64URL.encode(bytes)
            #expect(Base64URL.decode(text.utf8) == bytes)
            // Of anything that isn't stored in one piece, too.
            #expect(Base64URL.decode(text.utf8.lazy.map { $0 }) == bytes)
        }
    }
}
