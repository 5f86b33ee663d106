import CCrypto

/// What tokens and keys are made of, from OpenSSL's libcrypto.
package enum Cryptography {
    /// Bytes of an HMAC-SHA256.
    package static let tagLength = 32

    /// HMAC-SHA256 (RFC 2104).
    ///
    /// - Returns: 32 bytes; nil when the key is empty, which anybody knows, or libcrypto finds no memory.
    package static func authenticate(_ message: UnsafeRawBufferPointer, key: [UInt8]) -> [UInt8]? {
        var made = false
        let tag = [UInt8](unsafeUninitializedCapacity: tagLength) { tag, count in
            made = authenticate(message, key: key, into: tag)
            count = made ? tagLength : 0
        }
        return made ? tag : nil
    }

    /// HMAC-SHA256 of an array.
    package static func authenticate(_ message: [UInt8], key: [UInt8]) -> [UInt8]? {
        message.withUnsafeBytes { authenticate($0, key: key) }
    }

    /// Whether `tag` is the HMAC-SHA256 of a message; how long that takes doesn't depend on how much of it
    /// fits.
    static func isAuthentic(
        _ message: UnsafeRawBufferPointer, tag: UnsafeRawBufferPointer, key: [UInt8]
    ) -> Bool {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: tagLength) { expected in
            authenticate(message, key: key, into: expected) && isEqual(UnsafeRawBufferPointer(expected), tag)
        }
    }

    private static func authenticate(
        _ message: UnsafeRawBufferPointer, key: [UInt8], into tag: UnsafeMutableBufferPointer<UInt8>
    ) -> Bool {
        guard !key.isEmpty else { return false }
        return key.withUnsafeBytes { key in
            ds_hmac_sha256(key.baseAddress, key.count, message.baseAddress, message.count, tag.baseAddress)
                == 1
        }
    }

    /// Compares secret bytes in a time that depends on their number alone.
    package static func isEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.withUnsafeBytes { left in right.withUnsafeBytes { isEqual(left, $0) } }
    }

    private static func isEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        left.count == right.count && CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
    }

    /// Bytes that nobody can foretell.
    package static func randomBytes(_ count: Int) throws(AccessError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        guard let length = Int32(exactly: count), RAND_bytes(&bytes, length) == 1 else {
            throw AccessError(kind: .failed, "the system gives no random bytes")
        }
        return bytes
    }
}
