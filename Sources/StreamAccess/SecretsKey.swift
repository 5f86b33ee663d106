/// The key of a data directory: the secrets of projects are stored encrypted with it, and reader keys follow
/// from it.
///
/// Both uses have a key of their own, derived with a label, so that nothing made for one is good for the
/// other.
public struct SecretsKey: Sendable, CustomStringConvertible {
    /// Bytes of the key itself.
    static let length = 32
    /// Bytes of an HMAC that a reader key shows: 22 characters.
    private static let readerKeyLength = 16

    private let sealing: [UInt8]
    private let reading: [UInt8]

    /// Never the key.
    public var description: String { "secrets key" }

    /// Takes the 32 bytes of a key.
    init(bytes: [UInt8]) throws(AccessError) {
        guard bytes.count == SecretsKey.length,
            let sealing = Cryptography.authenticate(Array("durable-streams secrets 1".utf8), key: bytes),
            let reading = Cryptography.authenticate(Array("durable-streams reader keys 1".utf8), key: bytes)
        else { throw AccessError(kind: .failed, "libcrypto can't make an HMAC-SHA256") }
        self.sealing = sealing
        self.reading = reading
    }

    /// A new secret for a project: `dss_` and 43 characters of base64url, 256 random bits.
    ///
    /// - Throws: `failed` when the system gives no random bytes.
    public static func newSecret() throws(AccessError) -> String {
        "dss_" + Base64URL.encode(try Cryptography.randomBytes(32))
    }

    /// Encrypts a secret, so that it opens for this project alone (AES-256-GCM).
    ///
    /// - Throws: `failed` when the system gives no random bytes or no memory.
    public func seal(_ secret: String, for project: String) throws(AccessError) -> [UInt8] {
        try SealedBox.seal(Array(secret.utf8), key: sealing, associated: Array(project.utf8))
    }

    /// Decrypts what `seal` made; nil when it was made with another key, for another project, or was changed.
    public func open(_ sealed: [UInt8], for project: String) -> String? {
        guard let plain = SealedBox.open(sealed, key: sealing, associated: Array(project.utf8)) else {
            return nil
        }
        return String(validating: plain, as: UTF8.self)
    }

    /// The reader key of a stream: 22 characters of base64url that only this server can tell, others for each
    /// generation of the project, of the stream, and for each stream.
    ///
    /// - Parameters:
    ///   - projectGeneration: how often the keys of the whole project were changed.
    ///   - stream: the stream's number, which is never given twice.
    ///   - streamGeneration: how often the key of this stream was changed.
    public func readerKey(
        project: String, projectGeneration: Int64, stream: Int64, streamGeneration: Int64
    ) -> String {
        var message: [UInt8] = []
        message.reserveCapacity(24 + project.utf8.count)
        for number in [projectGeneration, stream, streamGeneration] {
            withUnsafeBytes(of: number.bigEndian) { message.append(contentsOf: $0) }
        }
        // The name is last: everything before it has a fixed length, so no two inputs give one message.
        message.append(contentsOf: project.utf8)
        guard let tag = Cryptography.authenticate(message, key: reading) else {
            preconditionFailure("libcrypto finds no memory for an HMAC-SHA256")
        }
        return Base64URL.encode(tag[..<SecretsKey.readerKeyLength])
    }
}
