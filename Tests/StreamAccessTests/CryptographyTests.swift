import StreamAccess
import Testing

@Suite struct CryptographyTests {
    /// RFC 4231 sections 4.2 to 4.8; of the fifth only 16 bytes are given.
    @Test(arguments: [
        (
            String(repeating: "0b", count: 20), "4869205468657265",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            String(repeating: "aa", count: 20), String(repeating: "dd", count: 50),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
        ),
        (
            "0102030405060708090a0b0c0d0e0f10111213141516171819", String(repeating: "cd", count: 50),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
        ),
        (
            String(repeating: "0c", count: 20), "546573742057697468205472756e636174696f6e",
            "a3b6167473100ee06e0c796c2955552b"
        ),
        (
            String(repeating: "aa", count: 131),
            "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579"
                + "204669727374",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
        (
            String(repeating: "aa", count: 131),
            "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65206b65"
                + "7920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b6579206e65"
                + "65647320746f20626520686173686564206265666f7265206265696e6720757365642062792074686520484d414320"
                + "616c676f726974686d2e",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
        ),
    ])
    func authentication(key: String, message: String, tag: String) throws {
        let made = try #require(Cryptography.authenticate(bytes(hex: message), key: bytes(hex: key)))
        #expect(made.count == Cryptography.tagLength)
        #expect(made.starts(with: bytes(hex: tag)))
    }

    @Test func emptyMessagesAndKeys() {
        #expect(Cryptography.authenticate([], key: [1]) != nil)
        #expect(Cryptography.authenticate([1], key: []) == nil)
    }

    @Test func comparison() {
        #expect(Cryptography.isEqual([], []))
        #expect(Cryptography.isEqual([1, 2, 3], [1, 2, 3]))
        #expect(!Cryptography.isEqual([1, 2, 3], [1, 2, 4]))
        #expect(!Cryptography.isEqual([1, 2, 3], [1, 2]))
    }

    @Test func randomBytesDiffer() throws {
        let drawn = try (0..<100).map { _ in try Cryptography.randomBytes(16) }
        #expect(Set(drawn).count == 100)
        #expect(try Cryptography.randomBytes(0).isEmpty)
    }
}

@Suite struct SealedBoxTests {
    private static let key = bytes(hex: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")

    /// Test case 16 of "The Galois/Counter Mode of Operation", submitted to NIST by McGrew and Viega.
    @Test func knownAnswer() throws {
        let plain = bytes(
            hex:
                "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
                + "b16aedf5aa0de657ba637b39")
        let nonce = bytes(hex: "cafebabefacedbaddecaf888")
        let associated = bytes(hex: "feedfacedeadbeeffeedfacedeadbeefabaddad2")
        let sealed = try #require(
            SealedBox.seal(plain, key: SealedBoxTests.key, nonce: nonce, associated: associated))
        let expected = bytes(
            hex:
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
                + "c5f61e6393ba7a0abcc9f662" + "76fc6ece0f4e1768cddf8853bb2d551b")
        #expect(sealed == nonce + expected)
        #expect(SealedBox.open(sealed, key: SealedBoxTests.key, associated: associated) == plain)
    }

    @Test(arguments: [0, 1, 15, 16, 17, 47, 1_000])
    func roundTrip(count: Int) throws {
        let plain = [UInt8](repeating: 7, count: count)
        for associated in [[], Array("shop".utf8)] {
            let sealed = try SealedBox.seal(plain, key: SealedBoxTests.key, associated: associated)
            #expect(sealed.count == 12 + count + 16)
            #expect(SealedBox.open(sealed, key: SealedBoxTests.key, associated: associated) == plain)
            let again = try SealedBox.seal(plain, key: SealedBoxTests.key, associated: associated)
            #expect(sealed != again)
        }
    }

    @Test func everyChangedBitIsSeen() throws {
        let sealed = try SealedBox.seal(Array("secret".utf8), key: SealedBoxTests.key, associated: [1, 2])
        for index in sealed.indices {
            for bit in 0..<8 {
                var changed = sealed
                changed[index] ^= 1 << bit
                #expect(SealedBox.open(changed, key: SealedBoxTests.key, associated: [1, 2]) == nil)
            }
            #expect(
                SealedBox.open(Array(sealed[..<index]), key: SealedBoxTests.key, associated: [1, 2]) == nil)
        }
        #expect(SealedBox.open(sealed + [0], key: SealedBoxTests.key, associated: [1, 2]) == nil)
        #expect(SealedBox.open(sealed, key: SealedBoxTests.key, associated: [1, 3]) == nil)
        #expect(SealedBox.open(sealed, key: SealedBoxTests.key, associated: []) == nil)
        #expect(SealedBox.open(sealed, key: SealedBoxTests.key.reversed(), associated: [1, 2]) == nil)
    }

    @Test func keysOfAnotherLength() {
        #expect(throws: AccessError.self) { try SealedBox.seal([1], key: [1, 2, 3], associated: []) }
        #expect(SealedBox.open([UInt8](repeating: 0, count: 40), key: [1, 2, 3], associated: []) == nil)
    }
}
