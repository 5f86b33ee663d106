import Glibc

/// Judges tokens: JSON Web Tokens (RFC 7519) in the compact form of RFC 7515, signed with HMAC-SHA256 and
/// nothing else.
public enum TokenVerifier {
    /// The longest token in bytes.
    public static let maximumLength = 8_192

    /// `{"alg":"HS256","typ":"JWT"}`, as nearly every token begins: known to be right without a look inside.
    static let usualHeader: StaticString = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

    /// What a good token says, and which secret it was signed with.
    public typealias Verdict = (claims: TokenClaims, secret: Int)

    /// Judges a token: its form, its header, its signature, and only then its claims, the times, and the
    /// project.
    ///
    /// - Parameters:
    ///   - secrets: those of the project, each as the bytes that are printed, in the order in which they are
    ///     tried; none for a project that doesn't exist.
    ///   - project: the project of the URL, which `sub` must name.
    ///   - now: milliseconds since 1970.
    /// - Returns: the claims, and the index of the secret that fitted.
    public static func verify(
        _ token: Substring, secrets: [[UInt8]], project: String, now: Int64
    ) throws(TokenProblem) -> Verdict {
        var verdict: Result<Verdict, TokenProblem> = .failure(.empty)
        var text = token
        text.withUTF8 { bytes in
            verdict = Result { () throws(TokenProblem) in
                try verify(bytes, secrets: secrets, project: project, now: now)
            }
        }
        return try verdict.get()
    }

    /// Judges a token that is a text of its own.
    public static func verify(
        _ token: String, secrets: [[UInt8]], project: String, now: Int64
    ) throws(TokenProblem) -> Verdict {
        try verify(token[...], secrets: secrets, project: project, now: now)
    }

    /// Judges a token that lies in memory.
    public static func verify(
        _ token: UnsafeBufferPointer<UInt8>, secrets: [[UInt8]], project: String, now: Int64
    ) throws(TokenProblem) -> Verdict {
        let parts = try TokenParts(token)
        return try parts.withDecodedSignature { signature throws(TokenProblem) in
            try judge(header: parts.header)
            return try decoded(parts.claims, .claims) { text throws(TokenProblem) in
                guard !secrets.isEmpty else { throw .noSecret }
                let fitting = secrets.firstIndex { secret in
                    Cryptography.isAuthentic(
                        UnsafeRawBufferPointer(parts.signed), tag: UnsafeRawBufferPointer(signature),
                        key: secret)
                }
                guard let fitting else { throw .signature }
                let claims = try TokenClaims(members(text, .claims))
                try claims.check(now: now)
                guard claims.subject.hasSameBytes(as: project) else { throw .subject(claims.subject) }
                return (claims, fitting)
            }
        }
    }

    /// What a token says, whoever made it and whenever: its form and header are judged, but neither
    /// signature, times nor project. To be shown, never to be trusted.
    public static func decode(unverified token: String) throws(TokenProblem) -> TokenClaims {
        let bytes = Array(token.utf8)
        return try bytes.withUnsafeBufferPointer { bytes throws(TokenProblem) in
            let parts = try TokenParts(bytes)
            try judge(header: parts.header)
            return try decoded(parts.claims, .claims) { text throws(TokenProblem) in
                try TokenClaims(members(text, .claims))
            }
        }
    }

    private static func judge(header: UnsafeBufferPointer<UInt8>) throws(TokenProblem) {
        let usual = usualHeader
        if header.count == usual.utf8CodeUnitCount, let start = header.baseAddress,
            memcmp(start, usual.utf8Start, header.count) == 0
        {
            return
        }
        try decoded(header, .header) { text throws(TokenProblem) in
            let members = try members(text, .header)
            guard case .string(let algorithm) = members["alg"] else { throw .noAlgorithm }
            guard algorithm.hasSameBytes(as: "HS256") else { throw .algorithm(algorithm) }
            guard members["crit"] == nil else { throw .critical }
            switch members["typ"] {
            case nil, .string: return
            default: throw .type
            }
        }
    }

    private static func members(
        _ text: UnsafeBufferPointer<UInt8>, _ part: TokenPart
    ) throws(TokenProblem) -> JSONMembers {
        do {
            return try JSONMembers(text)
        } catch {
            switch error {
            case .malformed: throw .object(part)
            case .duplicate: throw .duplicate(part)
            }
        }
    }

    /// Lends the bytes of a part.
    fileprivate static func decoded<Outcome>(
        _ text: UnsafeBufferPointer<UInt8>, _ part: TokenPart,
        _ body: (UnsafeBufferPointer<UInt8>) throws(TokenProblem) -> Outcome
    ) throws(TokenProblem) -> Outcome {
        guard let count = Base64URL.decodedCount(text.count) else { throw .encoding(part) }
        let outcome = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: count) { output in
            Result { () throws(TokenProblem) in
                guard Base64URL.decode(text, into: output) else { throw .encoding(part) }
                return try body(UnsafeBufferPointer(output))
            }
        }
        return try outcome.get()
    }
}

/// A token, taken apart at its two dots.
private struct TokenParts {
    let header: UnsafeBufferPointer<UInt8>
    let claims: UnsafeBufferPointer<UInt8>
    let signature: UnsafeBufferPointer<UInt8>
    /// What the signature is over: the first two parts with the dot between them.
    let signed: UnsafeBufferPointer<UInt8>

    init(_ token: UnsafeBufferPointer<UInt8>) throws(TokenProblem) {
        guard !token.isEmpty else { throw .empty }
        guard token.count <= TokenVerifier.maximumLength else { throw .tooLong }
        let dot = UInt8(ascii: ".")
        guard let first = token.firstIndex(of: dot), let second = token[(first + 1)...].firstIndex(of: dot),
            !token[(second + 1)...].contains(dot)
        else { throw .parts }
        header = UnsafeBufferPointer(rebasing: token[..<first])
        claims = UnsafeBufferPointer(rebasing: token[(first + 1)..<second])
        signature = UnsafeBufferPointer(rebasing: token[(second + 1)...])
        signed = UnsafeBufferPointer(rebasing: token[..<second])
    }

    func withDecodedSignature<Outcome>(
        _ body: (UnsafeBufferPointer<UInt8>) throws(TokenProblem) -> Outcome
    ) throws(TokenProblem) -> Outcome {
        try TokenVerifier.decoded(signature, .signature, body)
    }
}
