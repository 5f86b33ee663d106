import Glibc
import StreamAccess
import Testing

@Suite struct SecretsKeyTests {
    private static let digits = String(repeating: "0123456789abcdef", count: 4)

    /// Two keys are the same when they make the same reader keys.
    private static func mark(_ key: SecretsKey) -> String {
        key.readerKey(project: "shop", projectGeneration: 0, stream: 1, streamGeneration: 0)
    }

    /// Why a key is refused; nil when it isn't.
    private static func problem(_ path: String) -> AccessError? {
        do {
            _ = try SecretsKey.load(path: path)
            return nil
        } catch {
            return error
        }
    }

    @Test func madeOnceAndKept() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/secrets.key"
        let key = try SecretsKey.loadOrCreate(path: path)
        let content = try folder.read("secrets.key")
        #expect(content.utf8.count == 65 && content.hasSuffix("\n"))
        #expect(content.dropLast().allSatisfy { $0.isHexDigit && !$0.isUppercase })
        #expect(folder.mode(of: "secrets.key") == 0o600)
        #expect(folder.names == ["secrets.key"])
        #expect(try SecretsKeyTests.mark(SecretsKey.load(path: path)) == SecretsKeyTests.mark(key))
        #expect(try SecretsKeyTests.mark(SecretsKey.loadOrCreate(path: path)) == SecretsKeyTests.mark(key))
        #expect(try folder.read("secrets.key") == content)
        #expect("\(key)" == "secrets key")
    }

    @Test func manyCreatorsGetOneKey() async throws {
        for _ in 0..<20 {
            let folder = try TemporaryFolder()
            let path = folder.path + "/secrets.key"
            let marks = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<8 {
                    group.addTask { SecretsKeyTests.mark(try SecretsKey.loadOrCreate(path: path)) }
                }
                var marks = Set<String>()
                for try await mark in group { marks.insert(mark) }
                return marks
            }
            #expect(marks.count == 1)
            #expect(folder.names == ["secrets.key"])
            #expect(try marks == [SecretsKeyTests.mark(SecretsKey.load(path: path))])
        }
    }

    @Test(arguments: [digits, digits + "\n", digits.uppercased() + "\n"])
    func taken(content: String) throws {
        let folder = try TemporaryFolder()
        try folder.write(content, to: "k")
        #expect(SecretsKeyTests.problem(folder.path + "/k") == nil)
    }

    @Test(arguments: [
        "", "\n", String(digits.dropLast()), digits.dropLast() + "\n", digits + "0", digits + "\n\n",
        digits + "\r\n",
        digits + " ", " " + digits, digits.dropLast() + "g", "0x" + digits.dropFirst(2), digits + digits,
    ])
    func otherContent(content: String) throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/secrets.key"
        try folder.write(content, to: "secrets.key")
        let loaded = #expect(throws: AccessError.self) { try SecretsKey.load(path: path) }
        let made = #expect(throws: AccessError.self) { try SecretsKey.loadOrCreate(path: path) }
        #expect(loaded == made)
        #expect(loaded?.kind == .configuration)
        #expect(
            loaded?.message
                == "secrets key \(path) does not hold 64 hexadecimal digits: restore it from your copy")
        #expect(try folder.read("secrets.key") == content)
    }

    @Test(arguments: [0o640, 0o604, 0o601, 0o610, 0o620, 0o644, 0o660, 0o666] as [mode_t])
    func otherModes(mode: mode_t) throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/secrets.key"
        try folder.write(SecretsKeyTests.digits, to: "secrets.key", mode: mode)
        let octal = "0" + String(mode, radix: 8)
        #expect(
            SecretsKeyTests.problem(path)
                == AccessError(
                    kind: .configuration,
                    "secrets key \(path) is open to others (mode \(octal)): chmod 600 \(path)"))
        #expect(folder.mode(of: "secrets.key") == mode)
    }

    @Test(arguments: [0o600, 0o400, 0o700] as [mode_t])
    func modesOfTheOwner(mode: mode_t) throws {
        let folder = try TemporaryFolder()
        try folder.write(SecretsKeyTests.digits, to: "k", mode: mode)
        #expect(SecretsKeyTests.problem(folder.path + "/k") == nil)
    }

    @Test func pathsAreQuotedInCommands() throws {
        let folder = try TemporaryFolder()
        try folder.write(SecretsKeyTests.digits, to: "it's a key", mode: 0o644)
        let message = SecretsKeyTests.problem(folder.path + "/it's a key")?.message
        #expect(message?.hasSuffix(#"chmod 600 '\#(folder.path)/it'\''s a key'"#) == true)
    }

    @Test func missing() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/secrets.key"
        #expect(
            SecretsKeyTests.problem(path)
                == AccessError(kind: .absent, "secrets key \(path) is missing: restore it from your copy"))
        let error = #expect(throws: AccessError.self) {
            _ = try SecretsKey.loadOrCreate(path: folder.path + "/no/secrets.key")
        }
        #expect(error?.kind == .failed)
        #expect(folder.names.isEmpty)
    }

    @Test func noRegularFile() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/pipe"
        try #require(mkfifo(path, 0o600) == 0)
        #expect(SecretsKeyTests.problem(path)?.kind == .configuration)
        #expect(SecretsKeyTests.problem(folder.path)?.message.contains("is no regular file") == true)
    }

    @Test func secretsOpenForTheirProjectAlone() throws {
        let folder = try TemporaryFolder()
        let key = try SecretsKey.loadOrCreate(path: folder.path + "/a")
        let other = try SecretsKey.loadOrCreate(path: folder.path + "/b")
        let secret = try SecretsKey.newSecret()
        let sealed = try key.seal(secret, for: "shop")
        #expect(key.open(sealed, for: "shop") == secret)
        #expect(key.open(sealed, for: "shop2") == nil)
        #expect(other.open(sealed, for: "shop") == nil)
        #expect(key.open([], for: "shop") == nil)
        #expect(!sealed.contains(Array(secret.utf8)))
    }

    @Test func newSecrets() throws {
        let secrets = try (0..<50).map { _ in try SecretsKey.newSecret() }
        #expect(Set(secrets).count == 50)
        for secret in secrets {
            #expect(secret.hasPrefix("dss_"))
            #expect(Base64URL.decode(secret.utf8.dropFirst(4))?.count == 32)
        }
    }

    @Test func readerKeysDifferInEverything() throws {
        let folder = try TemporaryFolder()
        var keys: [String] = []
        for name in ["a", "b"] {
            let key = try SecretsKey.loadOrCreate(path: folder.path + "/" + name)
            for project in ["", "shop", "shop2"] {
                for numbers in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (256, 0, 0), (.max, .min, -1)]
                    as [(Int64, Int64, Int64)]
                {
                    keys.append(
                        key.readerKey(
                            project: project, projectGeneration: numbers.0, stream: numbers.1,
                            streamGeneration: numbers.2))
                }
            }
            #expect(SecretsKeyTests.mark(key) == SecretsKeyTests.mark(key))
        }
        #expect(Set(keys).count == 36)
        #expect(keys.allSatisfy { Base64URL.decode($0.utf8)?.count == 16 && $0.utf8.count == 22 })
    }

    /// Stored secrets and handed-out reader keys of one version must mean the same to the next.
    @Test func derivationStaysAsItIs() throws {
        let folder = try TemporaryFolder()
        try folder.write(SecretsKeyTests.digits, to: "k")
        let key = try SecretsKey.load(path: folder.path + "/k")
        #expect(SecretsKeyTests.mark(key) == "wLXteLEonl1HYIO1_dfBiA")
        let sealed = "000102030405060708090a0b45e3285f0f723820eb327fb2c5f6634a32e51d1d5d"
        #expect(key.open(bytes(hex: sealed), for: "shop") == "dss_x")
    }
}
