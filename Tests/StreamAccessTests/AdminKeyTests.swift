import StreamAccess
import Testing

@Suite struct AdminKeyTests {
    private static let digits = Array(String(repeating: "0123456789abcdef", count: 4).utf8)

    @Test func onlyTheWholeKeyMatches() throws {
        for file in [AdminKeyTests.digits, AdminKeyTests.digits + [0x0A]] {
            let key = try #require(AdminKey(file: file))
            #expect(key.matches(AdminKeyTests.digits))
            #expect(!key.matches(AdminKeyTests.digits.dropLast()))
            #expect(!key.matches(AdminKeyTests.digits + [0x30]))
            #expect(!key.matches([UInt8]()))
            for index in AdminKeyTests.digits.indices {
                var other = AdminKeyTests.digits
                other[index] ^= 1
                #expect(!key.matches(other))
            }
        }
    }

    @Test(arguments: [
        "", "\n", String(repeating: "0", count: 63), String(repeating: "0", count: 65),
        String(repeating: "g", count: 64),
    ])
    func nothingElseIsAKey(text: String) {
        #expect(AdminKey(file: Array(text.utf8)) == nil)
    }
}
