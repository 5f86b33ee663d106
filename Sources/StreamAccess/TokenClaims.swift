import StreamProtocol

/// What a token says (RFC 7519 section 4.1, and `scope` and `stream_id`). Times are milliseconds since 1970.
public struct TokenClaims: Equatable, Sendable {
    /// `sub`: the project.
    public var subject: String
    /// `scope`: what is allowed.
    public var scope: TokenScope
    /// `exp`: from then on the token is no longer good.
    public var expires: Int64
    /// `nbf`: before then it is not good yet.
    public var notBefore: Int64?
    /// `iat`: when it was made.
    public var issuedAt: Int64?
    /// `stream_id`: the one stream, or with `/*` at its end the folder of streams, that it is for; nil for
    /// all.
    public var streamID: String?

    /// How far ahead `nbf` and `iat` may lie, in milliseconds, because clocks differ.
    public static let leeway: Int64 = 60_000
    /// The furthest time from 1970 that is taken, in seconds.
    static let furthest: Int64 = 1 << 53

    /// Joins claims.
    public init(
        subject: String, scope: TokenScope, expires: Int64, notBefore: Int64? = nil, issuedAt: Int64? = nil,
        streamID: String? = nil
    ) {
        self.subject = subject
        self.scope = scope
        self.expires = expires
        self.notBefore = notBefore
        self.issuedAt = issuedAt
        self.streamID = streamID
    }

    /// Whether `stream_id` allows a stream: it is this path, byte by byte, or a folder (`rooms/*`) that it
    /// lies below.
    ///
    /// - Parameter path: the normalised path within the project.
    public func covers(path: String) -> Bool {
        guard let streamID else { return true }
        guard streamID.utf8.suffix(2).elementsEqual("/*".utf8) else { return streamID.hasSameBytes(as: path) }
        let folder = streamID.utf8.dropLast()
        return path.utf8.count > folder.count && path.utf8.starts(with: folder)
    }

    /// Judges the times: what was verified once has only this to be asked again.
    ///
    /// - Parameter now: milliseconds since 1970.
    public func check(now: Int64) throws(TokenProblem) {
        guard now < expires else { throw .expired(milliseconds: TokenClaims.difference(now, expires)) }
        if let notBefore {
            let ahead = TokenClaims.difference(notBefore, now)
            guard ahead <= TokenClaims.leeway else { throw .notYetValid(milliseconds: ahead) }
        }
        if let issuedAt {
            let ahead = TokenClaims.difference(issuedAt, now)
            guard ahead <= TokenClaims.leeway else { throw .issuedInFuture(milliseconds: ahead) }
        }
    }

    private static func difference(_ later: Int64, _ earlier: Int64) -> Int64 {
        let (difference, overflow) = later.subtractingReportingOverflow(earlier)
        guard overflow else { return difference }
        return later > earlier ? .max : .min
    }
}

extension TokenClaims {
    /// Takes the claims from a token's second part. Members that aren't known here are left aside.
    init(_ members: JSONMembers) throws(TokenProblem) {
        guard let subject = try TokenClaims.string("sub", members) else { throw .missing(claim: "sub") }
        guard let text = try TokenClaims.string("scope", members) else { throw .missing(claim: "scope") }
        guard let scope = TokenScope(text: text) else { throw .scope(text) }
        guard let expires = try TokenClaims.time("exp", members) else { throw .missing(claim: "exp") }
        self.init(
            subject: subject, scope: scope, expires: expires, notBefore: try TokenClaims.time("nbf", members),
            issuedAt: try TokenClaims.time("iat", members),
            streamID: try TokenClaims.string("stream_id", members))
    }

    private static func string(_ name: String, _ members: JSONMembers) throws(TokenProblem) -> String? {
        guard let value = members[name] else { return nil }
        guard case .string(let text) = value else { throw .wrongType(claim: name) }
        return text
    }

    /// A NumericDate (RFC 7519 section 2), in milliseconds.
    private static func time(_ name: String, _ members: JSONMembers) throws(TokenProblem) -> Int64? {
        guard let value = members[name] else { return nil }
        guard case .number(let seconds, let exact) = value else { throw .wrongType(claim: name) }
        guard seconds.magnitude <= Double(furthest) else { throw .outOfRange(claim: name) }
        if let exact {
            // Compared once more as an integer: 2^53 + 1 as a Double is 2^53.
            guard exact.magnitude <= furthest.magnitude else { throw .outOfRange(claim: name) }
            return exact * 1_000
        }
        // A Double is only near the decimal fraction that was written: what it can't tell from a whole
        // millisecond is one.
        let milliseconds = seconds * 1_000
        let nearest = milliseconds.rounded()
        return Int64(
            (milliseconds - nearest).magnitude <= seconds.ulp * 1_000 ? nearest : milliseconds.rounded(.down))
    }

    /// The claims as a JSON object, without those that are not set.
    public var json: String {
        var members = ["\"sub\":" + JSONText.quoted(subject), "\"scope\":" + JSONText.quoted(scope.text)]
        if let streamID { members.append("\"stream_id\":" + JSONText.quoted(streamID)) }
        if let issuedAt { members.append("\"iat\":" + TokenClaims.seconds(issuedAt)) }
        if let notBefore { members.append("\"nbf\":" + TokenClaims.seconds(notBefore)) }
        members.append("\"exp\":" + TokenClaims.seconds(expires))
        return "{" + members.joined(separator: ",") + "}"
    }

    /// Milliseconds as a number of seconds, exactly.
    private static func seconds(_ milliseconds: Int64) -> String {
        let (seconds, rest) = milliseconds.magnitude.quotientAndRemainder(dividingBy: 1_000)
        let whole = "\(milliseconds < 0 ? "-" : "")\(seconds)"
        return rest == 0 ? whole : "\(whole).\(String(1_000 + rest).dropFirst())"
    }
}
