import StreamAccess
import Testing

@Suite struct TokenClaimsTests {
    private static func claims(
        expires: Int64 = 1_000, notBefore: Int64? = nil, issuedAt: Int64? = nil, streamID: String? = nil
    ) -> TokenClaims {
        TokenClaims(
            subject: "shop", scope: .read, expires: expires, notBefore: notBefore, issuedAt: issuedAt,
            streamID: streamID)
    }

    @Test(
        arguments: [
            (nil, "", true), (nil, "a/b", true), ("a/b", "a/b", true), ("a/b", "a/b/c", false),
            ("a/b", "a", false),
            ("a/b", "A/b", false), ("", "", true), ("", "a", false), ("a/*", "a/b", true),
            ("a/*", "a/b/c", true),
            ("a/*", "a", false), ("a/*", "a/", false), ("a/*", "ab", false), ("a/*", "b/a/c", false),
            ("a/b/*", "a/c", false),
            ("*", "a", false), ("*", "*", true), ("/*", "a", false), ("a*", "ab", false),
            ("a/*/c", "a/b/c", false),
            ("a/**", "a/b", false), ("\u{212A}", "K", false), ("%C3%A9", "%C3%A9", true),
            ("é", "%C3%A9", false),
        ] as [(String?, String, Bool)])
    func coverage(streamID: String?, path: String, expected: Bool) {
        #expect(TokenClaimsTests.claims(streamID: streamID).covers(path: path) == expected)
    }

    @Test func expiry() throws {
        let claims = TokenClaimsTests.claims(expires: 1_000)
        try claims.check(now: 999)
        #expect(throws: TokenProblem.expired(milliseconds: 0)) { try claims.check(now: 1_000) }
        #expect(throws: TokenProblem.expired(milliseconds: 1)) { try claims.check(now: 1_001) }
        #expect(throws: TokenProblem.expired(milliseconds: .max)) {
            try TokenClaimsTests.claims(expires: .min).check(now: .max)
        }
    }

    @Test func leeway() throws {
        try TokenClaimsTests.claims(notBefore: 60_000, issuedAt: 60_000).check(now: 0)
        #expect(throws: TokenProblem.notYetValid(milliseconds: 60_001)) {
            try TokenClaimsTests.claims(notBefore: 60_001).check(now: 0)
        }
        #expect(throws: TokenProblem.issuedInFuture(milliseconds: 60_001)) {
            try TokenClaimsTests.claims(issuedAt: 60_001).check(now: 0)
        }
        try TokenClaimsTests.claims(notBefore: .min, issuedAt: .min).check(now: 0)
        #expect(throws: TokenProblem.notYetValid(milliseconds: .max)) {
            try TokenClaimsTests.claims(notBefore: .max).check(now: .min)
        }
    }

    @Test func scopes() {
        #expect(TokenScope(text: "read") == .read)
        #expect(TokenScope(text: "write") == .write)
        #expect(TokenScope(text: "read write") == .write)
        #expect(TokenScope(text: "manage read") == .manage)
        #expect(TokenScope.write.contains(.read) && !TokenScope.write.contains(.manage))
        #expect(TokenScope.manage.contains([.read, .write]))
        #expect(!TokenScope.read.contains(.write))
        for text in ["", " ", "Read", "read,write", "reads", "read admin", "readwrite", "read\u{A0}write"] {
            #expect(TokenScope(text: text) == nil)
        }
        for scope in [TokenScope.read, .write, .manage] { #expect(TokenScope(text: scope.text) == scope) }
    }

    @Test(arguments: [
        TokenClaims(subject: "shop", scope: .read, expires: 1_800_000_000_001),
        TokenClaims(
            subject: "shop", scope: .write, expires: 4_102_444_800_999, notBefore: 1_500, issuedAt: -1,
            streamID: "rooms/*"),
        TokenClaims(
            subject: "shop", scope: .manage, expires: 9_007_199_254_740_992_000, notBefore: -1_500,
            streamID: "a\"b\\c\u{1}\u{1F}\n/é😀\u{2028}"),
    ])
    func mintedAndVerified(claims: TokenClaims) throws {
        let token = try TokenIssuer.mint(claims, secret: Tokens.secret)
        #expect(try Tokens.verify(token) == claims)
        #expect(try TokenVerifier.decode(unverified: token) == claims)
        #expect(token.hasPrefix("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."))
    }

    @Test func milliseconds() throws {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<2_000 {
            var claims = TokenClaimsTests.claims(
                expires: Int64.random(in: 1_800_000_000_001...99_999_999_999_999, using: &generator))
            claims.issuedAt = Int64.random(in: -1_000_000...1_000_000, using: &generator)
            let token = try TokenIssuer.mint(claims, secret: Tokens.secret)
            #expect(try Tokens.verify(token) == claims)
        }
    }

    @Test func text() throws {
        let claims = TokenClaims(
            subject: "shop", scope: .write, expires: 2_000_500, notBefore: 1_000, issuedAt: -50,
            streamID: "a\"b")
        #expect(
            claims.json
                == #"{"sub":"shop","scope":"write","stream_id":"a\"b","iat":-0.050,"nbf":1,"exp":2000.500}"#)
        #expect(
            TokenClaimsTests.claims(expires: 0).json == #"{"sub":"shop","scope":"read","exp":0}"#)
        #expect(throws: AccessError.self) { try TokenIssuer.mint(claims, secret: []) }
    }

    @Test(
        arguments: [
            (.expired(milliseconds: 12_345), "expired 12 s ago"),
            (.expired(milliseconds: 0), "expired less than 1 s ago"),
            (.notYetValid(milliseconds: 61_000), "is not yet valid, by nbf, for another 61 s"),
            (.issuedInFuture(milliseconds: 90_000), "was issued 90 s in the future"),
            (.wrongType(claim: "exp"), "exp is not a number"),
            (.wrongType(claim: "sub"), "sub is not a string"),
            (.encoding(.claims), "claims is not base64url without padding"),
            (
                .subject("a\"b\n\u{1B}[2J\u{202E}é\\"),
                #"sub is "a\"b\n\u{1B}[2J\u{202E}\u{00E9}\\", which is not the project"#
            ),
            (
                .algorithm(String(repeating: "x", count: 65)),
                "alg is \"" + String(repeating: "x", count: 64) + "…\", and only \"HS256\" is taken"
            ),
        ] as [(TokenProblem, String)])
    func words(problem: TokenProblem, text: String) {
        #expect(problem.description == text)
    }
}

@Suite struct BearerCredentialsTests {
    @Test(arguments: [
        ("Bearer abc.d-e_f", "abc.d-e_f"), ("bearer x", "x"), ("BEARER   x", "x"), ("bEaReR x", "x"),
        ("Bearer", ""),
        ("Bearer ", ""), ("Bearer    ", ""), ("Bearer a b", "a b"), ("Bearer a ", "a "),
        ("Bearer a,b", "a,b"),
    ])
    func tokens(header: String, token: String) {
        #expect(BearerCredentials.token(in: header).map(String.init) == token)
    }

    @Test(arguments: [
        "", " ", "Basic YTpi", "Bearerx", "Bearer\tx", "Bearer,x", " Bearer x", "Bear x", "Digest Bearer x",
        "Token x",
        "\"earer x", "Béarer x", "Bearer=x", "abc.d.e",
    ])
    func otherSchemes(header: String) {
        #expect(BearerCredentials.token(in: header) == nil)
    }
}
