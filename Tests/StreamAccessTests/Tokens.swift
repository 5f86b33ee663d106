import StreamAccess

/// A secret as it is printed, and tokens made by hand with it: right ones, and ones that no issuer would
/// make.
enum Tokens {
    static let secret = Array("dss_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8".utf8)
    static let otherSecret = Array("dss_HxECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8".utf8)
    /// 2027-01-15T08:00:00Z, in milliseconds.
    static let now: Int64 = 1_800_000_000_000
    static let header = #"{"alg":"HS256","typ":"JWT"}"#
    static let claims = #"{"sub":"shop","scope":"read","exp":1800000060}"#

    /// Signs any two texts as if they were header and claims.
    static func sign(
        header: String = header, claims: String = claims, secret: [UInt8] = secret
    ) -> String {
        let signed = Base64URL.encode(header.utf8) + "." + Base64URL.encode(claims.utf8)
        let signature = Cryptography.authenticate(Array(signed.utf8), key: secret) ?? []
        return signed + "." + Base64URL.encode(signature)
    }

    /// Judges a token for the project `shop`.
    static func verify(
        _ token: String, secrets: [[UInt8]] = [secret], project: String = "shop", now: Int64 = now
    ) throws(TokenProblem) -> TokenClaims {
        try TokenVerifier.verify(token, secrets: secrets, project: project, now: now).claims
    }

    /// Why a token is refused; nil when it isn't.
    static func problem(_ token: String, secrets: [[UInt8]] = [secret], project: String = "shop")
        -> TokenProblem?
    {
        do {
            _ = try verify(token, secrets: secrets, project: project)
            return nil
        } catch {
            return error
        }
    }
}

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

/// The bytes of hexadecimal digits.
func bytes(hex text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
