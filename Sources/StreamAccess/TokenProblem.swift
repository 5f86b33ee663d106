/// A part of a token (RFC 7515 section 3.1).
public enum TokenPart: String, Sendable {
    /// How it is signed.
    case header
    /// What it says (RFC 7519 calls it the claims set).
    case claims
    /// What proves it.
    case signature
}

/// Why a token is not taken. For the operator's log alone: a client is never told.
public enum TokenProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// Nothing stands behind `Bearer`.
    case empty
    /// Longer than `TokenVerifier.maximumLength`.
    case tooLong
    /// Not three parts with dots between them.
    case parts
    /// A part that is not base64url, has padding, or ends in bits that should be zero.
    case encoding(TokenPart)
    /// A part that is not one JSON object.
    case object(TokenPart)
    /// A part that gives a member twice.
    case duplicate(TokenPart)
    /// `alg` is missing or no string.
    case noAlgorithm
    /// `alg` is not `HS256`.
    case algorithm(String)
    /// `typ` is no string.
    case type
    /// The header has `crit` (RFC 7515 section 4.1.11): extensions that this server doesn't know.
    case critical
    /// The project is unknown, or has no secret.
    case noSecret
    /// No secret of the project fits.
    case signature
    /// A claim that has to be there is not.
    case missing(claim: String)
    /// A claim is of another type than it must be.
    case wrongType(claim: String)
    /// A time is further than 2^53 seconds from 1970.
    case outOfRange(claim: String)
    /// `scope` names none of `read`, `write` and `manage`, or anything else.
    case scope(String)
    /// `exp` has passed, so many milliseconds ago.
    case expired(milliseconds: Int64)
    /// `nbf` lies so many milliseconds ahead.
    case notYetValid(milliseconds: Int64)
    /// `iat` lies so many milliseconds ahead.
    case issuedInFuture(milliseconds: Int64)
    /// `sub` names another project than the URL.
    case subject(String)

    /// Plain words behind "token: ", as in "expired 12 s ago". What a client can choose is cut short, and
    /// shown with everything but printable ASCII escaped.
    public var description: String {
        switch self {
        case .empty: "is empty"
        case .tooLong: "is longer than \(TokenVerifier.maximumLength) bytes"
        case .parts: "is not three parts with dots between them"
        case .encoding(let part): "\(part.rawValue) is not base64url without padding"
        case .object(let part): "\(part.rawValue) is not a JSON object"
        case .duplicate(let part): "\(part.rawValue) gives a member twice"
        case .noAlgorithm: "alg is missing or not a string"
        case .algorithm(let name): "alg is \(TokenProblem.quoted(name)), and only \"HS256\" is taken"
        case .type: "typ is not a string"
        case .critical: "header has crit"
        case .noSecret: "project is unknown or has no secret"
        case .signature: "signature fits no secret of the project"
        case .missing(let claim): "\(claim) is missing"
        case .wrongType(let claim):
            "\(claim) is not a \(["exp", "nbf", "iat"].contains(claim) ? "number" : "string")"
        case .outOfRange(let claim): "\(claim) is out of range"
        case .scope(let text): "scope is \(TokenProblem.quoted(text)), not some of read, write and manage"
        case .expired(let milliseconds): "expired \(TokenProblem.seconds(milliseconds)) ago"
        case .notYetValid(let milliseconds):
            "is not yet valid, by nbf, for another \(TokenProblem.seconds(milliseconds))"
        case .issuedInFuture(let milliseconds):
            "was issued \(TokenProblem.seconds(milliseconds)) in the future"
        case .subject(let name): "sub is \(TokenProblem.quoted(name)), which is not the project"
        }
    }

    private static func seconds(_ milliseconds: Int64) -> String {
        milliseconds < 1_000 ? "less than 1 s" : "\(milliseconds / 1_000) s"
    }

    /// At most 64 characters of a text, in quotes, on one line whatever is in it.
    private static func quoted(_ text: String) -> String {
        var shown = "\""
        for (count, scalar) in text.unicodeScalars.enumerated() {
            if count == 64 { return shown + "…\"" }
            shown += scalar.escaped(asASCII: true)
        }
        return shown + "\""
    }
}
