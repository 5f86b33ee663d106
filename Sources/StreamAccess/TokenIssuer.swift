/// Makes tokens.
public enum TokenIssuer {
    /// A token with these claims: a JWT (RFC 7519) in compact form, signed with HS256.
    ///
    /// - Parameter secret: the bytes of a secret as it is printed.
    /// - Throws: `failed` when the secret is empty, or libcrypto finds no memory.
    public static func mint(_ claims: TokenClaims, secret: [UInt8]) throws(AccessError) -> String {
        let signed = TokenVerifier.usualHeader.description + "." + Base64URL.encode(claims.json.utf8)
        guard let signature = Cryptography.authenticate(Array(signed.utf8), key: secret) else {
            throw AccessError(kind: .failed, "libcrypto can't sign a token")
        }
        return signed + "." + Base64URL.encode(signature)
    }
}
