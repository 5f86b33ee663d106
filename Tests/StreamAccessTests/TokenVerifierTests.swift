import StreamAccess
import Testing

@Suite struct TokenVerifierTests {
    /// RFC 7515 appendix A.1. It is signed as it should be, and then it has no `sub`.
    @Test func exampleOfTheRFC() throws {
        let key = try #require(
            Base64URL.decode(
                "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow".utf8)
        )
        let signed =
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
            + ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        let token = signed + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        #expect(Tokens.problem(token, secrets: [key]) == .missing(claim: "sub"))
        #expect(
            Tokens.problem(signed + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXg", secrets: [key])
                == .signature)
        #expect(Tokens.problem(token) == .signature)
    }

    @Test func good() throws {
        let claims = try Tokens.verify(Tokens.sign())
        #expect(claims == TokenClaims(subject: "shop", scope: .read, expires: Tokens.now + 60_000))
        let padded = "xx\(Tokens.sign())yy"
        let verdict = try TokenVerifier.verify(
            padded.dropFirst(2).dropLast(2), secrets: [Tokens.secret], project: "shop", now: Tokens.now)
        #expect(verdict.claims == claims)
    }

    @Test(arguments: [
        #"{"typ":"JWT","alg":"HS256"}"#, #"{"alg":"HS256"}"#, #"{"alg":"HS256","typ":"at+jwt"}"#,
        #" { "alg" : "\u0048S256" , "kid" : "1", "x": [{}] } "#,
    ])
    func otherHeaders(header: String) {
        #expect(Tokens.problem(Tokens.sign(header: header)) == nil)
    }

    @Test func eachSecretIsTried() throws {
        let token = Tokens.sign()
        let secrets = [Tokens.otherSecret, [], Tokens.secret]
        let verdict = try TokenVerifier.verify(token, secrets: secrets, project: "shop", now: Tokens.now)
        #expect(verdict.secret == 2)
        #expect(Tokens.problem(token, secrets: [Tokens.otherSecret]) == .signature)
        #expect(Tokens.problem(token, secrets: [[]]) == .signature)
        #expect(Tokens.problem(token, secrets: []) == .noSecret)
        #expect(Tokens.problem(token, secrets: [Array(Tokens.secret.dropLast())]) == .signature)
    }

    @Test(
        arguments: [
            (#"{}"#, .noAlgorithm), (#"{"typ":"JWT"}"#, .noAlgorithm), (#"{"alg":256}"#, .noAlgorithm),
            (#"{"alg":null}"#, .noAlgorithm), (#"{"alg":["HS256"]}"#, .noAlgorithm),
            (#"{"alg":"none"}"#, .algorithm("none")),
            (#"{"alg":"hs256"}"#, .algorithm("hs256")), (#"{"alg":"HS512"}"#, .algorithm("HS512")),
            (#"{"alg":"RS256"}"#, .algorithm("RS256")), (#"{"alg":""}"#, .algorithm("")),
            (#"{"alg":"HS256 "}"#, .algorithm("HS256 ")), (#"{"alg":"HS256","crit":["exp"]}"#, .critical),
            (#"{"alg":"HS256","crit":null}"#, .critical), (#"{"alg":"HS256","typ":1}"#, .type),
            (#"{"alg":"HS256","typ":null}"#, .type), (#"{"alg":"none","alg":"HS256"}"#, .duplicate(.header)),
            (#"{"alg":"HS256","alg":"HS256"}"#, .duplicate(.header)),
            (#"{"alg":"HS256","x":1,"x":1}"#, .duplicate(.header)),
            ("", .object(.header)), ("[]", .object(.header)), (#""HS256""#, .object(.header)),
            (#"{"alg":"HS256"} x"#, .object(.header)), (#"{"alg":"HS256""#, .object(.header)),
        ] as [(String, TokenProblem)])
    func headers(header: String, problem: TokenProblem) {
        #expect(Tokens.problem(Tokens.sign(header: header)) == problem)
    }

    @Test(
        arguments: [
            (#"{"scope":"read","exp":1800000060}"#, .missing(claim: "sub")),
            (#"{"sub":"shop","exp":1800000060}"#, .missing(claim: "scope")),
            (#"{"sub":"shop","scope":"read"}"#, .missing(claim: "exp")),
            (#"{"sub":7,"scope":"read","exp":1800000060}"#, .wrongType(claim: "sub")),
            (#"{"sub":null,"scope":"read","exp":1800000060}"#, .wrongType(claim: "sub")),
            (#"{"sub":["shop"],"scope":"read","exp":1800000060}"#, .wrongType(claim: "sub")),
            (#"{"sub":"shop","scope":["read"],"exp":1800000060}"#, .wrongType(claim: "scope")),
            (#"{"sub":"shop","scope":"","exp":1800000060}"#, .scope("")),
            (#"{"sub":"shop","scope":" ","exp":1800000060}"#, .scope(" ")),
            (#"{"sub":"shop","scope":"Read","exp":1800000060}"#, .scope("Read")),
            (#"{"sub":"shop","scope":"read,write","exp":1800000060}"#, .scope("read,write")),
            (#"{"sub":"shop","scope":"read admin","exp":1800000060}"#, .scope("read admin")),
            (#"{"sub":"shop","scope":"read\twrite","exp":1800000060}"#, .scope("read\twrite")),
            (#"{"sub":"shop","scope":"read","exp":"1800000060"}"#, .wrongType(claim: "exp")),
            (#"{"sub":"shop","scope":"read","exp":null}"#, .wrongType(claim: "exp")),
            (#"{"sub":"shop","scope":"read","exp":true}"#, .wrongType(claim: "exp")),
            (#"{"sub":"shop","scope":"read","exp":{}}"#, .wrongType(claim: "exp")),
            (#"{"sub":"shop","scope":"read","exp":9007199254740993}"#, .outOfRange(claim: "exp")),
            (#"{"sub":"shop","scope":"read","exp":1e300}"#, .outOfRange(claim: "exp")),
            (#"{"sub":"shop","scope":"read","exp":1e999}"#, .outOfRange(claim: "exp")),
            (#"{"sub":"shop","scope":"read","exp":-1e999}"#, .outOfRange(claim: "exp")),
            (#"{"sub":"shop","scope":"read","exp":99999999999999999999}"#, .outOfRange(claim: "exp")),
            (#"{"sub":"shop","scope":"read","exp":1800000000}"#, .expired(milliseconds: 0)),
            (#"{"sub":"shop","scope":"read","exp":1799999988}"#, .expired(milliseconds: 12_000)),
            (#"{"sub":"shop","scope":"read","exp":0}"#, .expired(milliseconds: 1_800_000_000_000)),
            (
                #"{"sub":"shop","scope":"read","exp":-9007199254740992}"#,
                .expired(milliseconds: 9_007_201_054_740_992_000)
            ),
            (
                #"{"sub":"shop","scope":"read","exp":1800000060,"nbf":1800000061}"#,
                .notYetValid(milliseconds: 61_000)
            ),
            (#"{"sub":"shop","scope":"read","exp":1800000060,"nbf":"1"}"#, .wrongType(claim: "nbf")),
            (#"{"sub":"shop","scope":"read","exp":1800000060,"nbf":null}"#, .wrongType(claim: "nbf")),
            (
                #"{"sub":"shop","scope":"read","exp":1800000060,"iat":1800000061}"#,
                .issuedInFuture(milliseconds: 61_000)
            ),
            (#"{"sub":"shop","scope":"read","exp":1800000060,"iat":[]}"#, .wrongType(claim: "iat")),
            (#"{"sub":"shop","scope":"read","exp":1800000060,"iat":1e17}"#, .outOfRange(claim: "iat")),
            (
                #"{"sub":"shop","scope":"read","exp":1800000060,"stream_id":null}"#,
                .wrongType(claim: "stream_id")
            ),
            (
                #"{"sub":"shop","scope":"read","exp":1800000060,"stream_id":["a"]}"#,
                .wrongType(claim: "stream_id")
            ),
            (#"{"sub":"Shop","scope":"read","exp":1800000060}"#, .subject("Shop")),
            (#"{"sub":"shop ","scope":"read","exp":1800000060}"#, .subject("shop ")),
            (#"{"sub":"","scope":"read","exp":1800000060}"#, .subject("")),
            (#"{"sub":"x","sub":"shop","scope":"read","exp":1800000060}"#, .duplicate(.claims)),
            (#"{"sub":"shop","scope":"read","scope":"write","exp":1800000060}"#, .duplicate(.claims)),
            (#"{"sub":"shop","scope":"read","exp":1,"\u0065xp":1800000060}"#, .duplicate(.claims)),
            ("", .object(.claims)), ("null", .object(.claims)), ("[]", .object(.claims)),
            ("shop", .object(.claims)),
            (#"{"sub":"shop","scope":"read","exp":1800000060"#, .object(.claims)),
            (#"{"sub":"shop","scope":"read","exp":01800000060}"#, .object(.claims)),
            (#"{"sub":"\ud800","scope":"read","exp":1800000060}"#, .object(.claims)),
        ] as [(String, TokenProblem)])
    func claims(claims: String, problem: TokenProblem) {
        #expect(Tokens.problem(Tokens.sign(claims: claims)) == problem)
    }

    @Test(arguments: [
        #"{"sub":"shop","scope":"read","exp":1800000000.001}"#, #"{"sub":"shop","scope":"read","exp":1.9e9}"#,
        #"{"sub":"shop","scope":"read","exp":9007199254740992}"#,
        #"{"sub":"shop","scope":"read","exp":1800000060,"nbf":1800000060,"iat":1800000060}"#,
        #"{"sub":"shop","scope":"read","exp":1800000060,"nbf":-9007199254740992,"iat":0}"#,
        #"{"iss":"me","aud":["x"],"jti":null,"sub":"shop","scope":"  read ","exp":1800000060}"#,
    ])
    func goodClaims(claims: String) {
        #expect(Tokens.problem(Tokens.sign(claims: claims)) == nil)
    }

    @Test func projectsAreComparedByteByByte() {
        let token = Tokens.sign(claims: #"{"sub":"\u212A","scope":"read","exp":1800000060}"#)
        #expect(Tokens.problem(token, project: "K") == .subject("\u{212A}"))
    }

    @Test func form() {
        let token = Tokens.sign()
        let parts = token.split(separator: ".").map(String.init)
        #expect(Tokens.problem("") == .empty)
        let wrong = [
            ".", "..", "...", "a", "a.b", "\(token).", ".\(token)", "\(token).\(parts[2])",
            "\(parts[0]).\(parts[1])",
            "\(parts[0])..\(parts[1]).\(parts[2])", "\(parts[0]).\(parts[1]).", "\(parts[0])..\(parts[2])",
            ".\(parts[1]).\(parts[2])", "\(token)=", "\(token) ", " \(token)", "\(token) x", "\(token)\n",
            "\(token),",
            "\(parts[0])=.\(parts[1]).\(parts[2])", "\(parts[0]).\(parts[1])==.\(parts[2])",
            "Bearer \(token)",
            "\(parts[0]).\(parts[1]).\(parts[2])A", "\(token)é",
        ]
        for text in wrong { #expect(Tokens.problem(text) != nil, "\(text)") }
        for count in token.indices { #expect(Tokens.problem(String(token[..<count])) != nil) }
        #expect(Tokens.problem("\(parts[0]).\(parts[1])") == .parts)
        #expect(Tokens.problem("\(parts[0]).\(parts[1]).") == .signature)
        #expect(Tokens.problem("\(token)=") == .encoding(.signature))
        #expect(Tokens.problem("\(parts[0])=.\(parts[1]).\(parts[2])") == .encoding(.header))
        #expect(Tokens.problem("\(parts[0]).\(parts[1])+.\(parts[2])") == .encoding(.claims))
    }

    /// The last character of a signature has two bits to spare: four spellings of the same bytes, and one is
    /// taken.
    @Test func spellingsOfASignature() {
        let token = Tokens.sign()
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        let taken = alphabet.filter { Tokens.problem(token.dropLast() + String($0)) == nil }
        #expect(taken.count == 1 && taken.last == token.last)
    }

    @Test func length() {
        func token(_ filling: Int) -> String {
            let filler = String(repeating: "x", count: filling)
            return Tokens.sign(claims: #"{"sub":"shop","scope":"read","exp":1800000060,"x":"\#(filler)"}"#)
        }
        #expect(Tokens.problem(token(6_000)) == nil)
        #expect(Tokens.problem(token(6_200)) == .tooLong)
        #expect(Tokens.problem(String(repeating: ".", count: 1_000_000)) == .tooLong)
    }

    @Test func decodingWithoutTrust() throws {
        let token = Tokens.sign(claims: #"{"sub":"x","scope":"manage","exp":1}"#, secret: Tokens.otherSecret)
        let claims = try TokenVerifier.decode(unverified: token)
        #expect(claims == TokenClaims(subject: "x", scope: .manage, expires: 1_000))
        #expect(throws: TokenProblem.algorithm("none")) {
            try TokenVerifier.decode(unverified: Tokens.sign(header: #"{"alg":"none"}"#))
        }
        #expect(throws: TokenProblem.empty) { try TokenVerifier.decode(unverified: "") }
    }

    /// No change of a good token leaves it good.
    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func randomChanges(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let original = Array(Tokens.sign().utf8)
        let likely = Array("ABab01-_.=+/ ey".utf8)
        for _ in 0..<4_000 {
            var token = original
            for _ in 0..<Int.random(in: 1...4, using: &generator) where !token.isEmpty {
                let index = Int.random(in: 0..<token.count, using: &generator)
                let byte =
                    Bool.random(using: &generator)
                    ? UInt8.random(in: 0...255, using: &generator)
                    : likely.randomElement(using: &generator) ?? 0
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: token[index] = byte
                case 1: token.remove(at: index)
                case 2: token.insert(byte, at: index)
                case 3: token.removeLast(min(token.count, Int.random(in: 1...50, using: &generator)))
                default: token.swapAt(index, Int.random(in: 0..<token.count, using: &generator))
                }
            }
            guard token != original else { continue }
            let verdict = token.withUnsafeBufferPointer { token in
                try? TokenVerifier.verify(token, secrets: [Tokens.secret], project: "shop", now: Tokens.now)
            }
            #expect(verdict == nil, "seed \(seed): \(token)")
        }
    }

    /// The same for what is signed rightly: nothing crashes, whatever the claims are.
    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func randomClaims(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let pieces = [
            #""sub":"shop""#, #""scope":"read""#, #""exp":18e8"#, #""exp":1800000060"#, #""nbf":-1e-9"#,
            #""iat":1e308"#,
            #""stream_id":"a/*""#, #""sub":1"#, "{", "}", ",", "", "\"", "\\u00", "[", #""exp":-0.0"#,
            #""nbf":1e15"#,
        ]
        for _ in 0..<4_000 {
            let chosen = (0..<Int.random(in: 1...6, using: &generator)).map { _ in
                pieces.randomElement(using: &generator) ?? ""
            }
            let token = Tokens.sign(claims: "{" + chosen.joined(separator: ",") + "}")
            if let problem = Tokens.problem(token) {
                #expect(problem.description.utf8.allSatisfy { $0 >= 0x20 })
            } else {
                #expect(Set(chosen).count == chosen.count)
            }
        }
    }
}
