/// What nginx's protected locations send with each request of the administrator's, and no client can: it tells the pool and
/// the live process that somebody else has asked for the password already.
public struct AdminKey: Sendable {
    private let digits: [UInt8]

    /// Bytes of a key.
    public static let length = 64

    /// Takes the content of the file: 64 digits, and a line feed or none; nil for anything else.
    public init?(file: [UInt8]) {
        let digits = file.last == UInt8(ascii: "\n") ? Array(file.dropLast()) : file
        guard digits.count == AdminKey.length, digits.allSatisfy({ hexValue($0) != nil }) else { return nil }
        self.digits = digits
    }

    /// Whether somebody has the key; how long that takes doesn't depend on how much of it fits.
    public func matches(_ candidate: some Collection<UInt8>) -> Bool {
        Cryptography.isEqual(digits, Array(candidate.prefix(AdminKey.length + 1)))
    }
}
