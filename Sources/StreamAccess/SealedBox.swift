import CCrypto

/// Bytes encrypted with AES-256-GCM (NIST SP 800-38D): a random nonce of 12 bytes, what was encrypted, and a
/// tag of 16 bytes that also covers associated data, which isn't stored.
package enum SealedBox {
    /// Bytes of a key.
    package static let keyLength = 32
    private static let nonceLength = 12
    private static let tagLength = 16

    /// Encrypts under a new nonce.
    ///
    /// - Parameter key: 32 bytes; one key is good for 2^32 boxes.
    /// - Throws: when the system gives no random bytes, or libcrypto finds no memory.
    package static func seal(
        _ plain: [UInt8], key: [UInt8], associated: [UInt8]
    ) throws(AccessError) -> [UInt8] {
        let nonce = try Cryptography.randomBytes(nonceLength)
        guard let sealed = seal(plain, key: key, nonce: nonce, associated: associated) else {
            throw AccessError(kind: .failed, "libcrypto can't encrypt with AES-256-GCM")
        }
        return sealed
    }

    /// Encrypts under a given nonce, which must never serve twice with one key: for tests with known answers.
    package static func seal(
        _ plain: [UInt8], key: [UInt8], nonce: [UInt8], associated: [UInt8]
    ) -> [UInt8]? {
        guard key.count == keyLength, nonce.count == nonceLength, let context = CipherContext() else {
            return nil
        }
        guard EVP_EncryptInit_ex(context.pointer, EVP_aes_256_gcm(), nil, key, nonce) == 1 else { return nil }
        var text = [UInt8](repeating: 0, count: plain.count)
        var tag = [UInt8](repeating: 0, count: tagLength)
        guard update(context, EVP_EncryptUpdate, plain, associated, into: &text),
            finish(context, EVP_EncryptFinal_ex),
            EVP_CIPHER_CTX_ctrl(context.pointer, EVP_CTRL_AEAD_GET_TAG, Int32(tagLength), &tag) == 1
        else { return nil }
        return nonce + text + tag
    }

    /// Decrypts; nil when the box was changed, or sealed with another key or other associated data.
    package static func open(_ sealed: [UInt8], key: [UInt8], associated: [UInt8]) -> [UInt8]? {
        guard key.count == keyLength, sealed.count >= nonceLength + tagLength,
            let context = CipherContext()
        else { return nil }
        let nonce = Array(sealed[..<nonceLength])
        let text = Array(sealed[nonceLength..<(sealed.count - tagLength)])
        var tag = Array(sealed[(sealed.count - tagLength)...])
        guard EVP_DecryptInit_ex(context.pointer, EVP_aes_256_gcm(), nil, key, nonce) == 1 else { return nil }
        var plain = [UInt8](repeating: 0, count: text.count)
        guard update(context, EVP_DecryptUpdate, text, associated, into: &plain),
            EVP_CIPHER_CTX_ctrl(context.pointer, EVP_CTRL_AEAD_SET_TAG, Int32(tagLength), &tag) == 1,
            finish(context, EVP_DecryptFinal_ex)
        else { return nil }
        return plain
    }

    private typealias Update = (
        OpaquePointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<Int32>?, UnsafePointer<UInt8>?,
        Int32
    ) -> Int32

    private typealias Finish = (
        OpaquePointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<Int32>?
    ) -> Int32

    /// The associated data and then the text, at once; in counter mode as much comes out as goes in.
    private static func update(
        _ context: borrowing CipherContext, _ function: Update, _ input: [UInt8], _ associated: [UInt8],
        into output: inout [UInt8]
    ) -> Bool {
        guard let length = Int32(exactly: input.count),
            let associatedLength = Int32(exactly: associated.count)
        else { return false }
        var written: Int32 = 0
        if associatedLength > 0 {
            guard function(context.pointer, nil, &written, associated, associatedLength) == 1 else {
                return false
            }
        }
        guard length > 0 else { return true }
        return function(context.pointer, &output, &written, input, length) == 1 && written == length
    }

    /// Makes or checks the tag; nothing more comes out.
    private static func finish(_ context: borrowing CipherContext, _ function: Finish) -> Bool {
        var nothing = [UInt8](repeating: 0, count: tagLength)
        var written: Int32 = 0
        return function(context.pointer, &nothing, &written) == 1 && written == 0
    }
}

/// Owns libcrypto's state of one encryption.
private struct CipherContext: ~Copyable {
    let pointer: OpaquePointer

    /// Nil when there is no memory.
    init?() {
        guard let pointer = EVP_CIPHER_CTX_new() else { return nil }
        self.pointer = pointer
    }

    deinit { EVP_CIPHER_CTX_free(pointer) }
}
