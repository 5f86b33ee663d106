/// The `Authorization` header (RFC 6750 section 2.1).
public enum BearerCredentials {
    /// The token of an `Authorization: Bearer …` header, whatever the case of the scheme's name.
    ///
    /// - Returns: nil when the scheme is another one; all that stands behind the spaces otherwise, so that
    ///   nothing, a second word or a comma come out as a token that is malformed.
    public static func token(in authorization: String) -> Substring? {
        let header = authorization.utf8
        let end = header.firstIndex(of: UInt8(ascii: " ")) ?? header.endIndex
        guard header[..<end].count == 6, zip(header, "bearer".utf8).allSatisfy({ $0 | 0x20 == $1 }) else {
            return nil
        }
        return authorization[end...].drop { $0 == " " }
    }
}
