import Glibc

/// Addresses and networks of clients, for nginx's `allow`.
public struct AddressList: Sendable, Equatable, CustomStringConvertible {
    /// Each as `address` or `address/bits`, without bits behind the prefix; never empty but for ``nobody``.
    public let entries: [String]

    /// What ``init(_:)`` accepts, for error messages.
    public static let grammar =
        "addresses and networks separated by spaces, such as 127.0.0.1 ::1 10.0.0.0/8, with no bits set behind "
        + "the prefix (everybody: 0.0.0.0/0 ::/0)"

    /// An empty list.
    static let nobody = AddressList(entries: [])

    private init(entries: [String]) { self.entries = entries }

    /// Parses a list; nil when it is empty or an entry is no address and no network.
    public init?(_ text: String) {
        let words = text.split(separator: " ").map(String.init)
        guard !words.isEmpty, words.allSatisfy(Self.isEntry) else { return nil }
        entries = words
    }

    /// The form of the setting.
    public var description: String { entries.joined(separator: " ") }

    private static func isEntry(_ text: String) -> Bool {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(
            String.init)
        guard let bytes = bytes(of: parts[0]) else { return false }
        guard parts.count == 2 else { return true }
        guard let prefix = WholeNumber.parse(parts[1]), (0...bytes.count * 8).contains(prefix) else {
            return false
        }
        // nginx warns of such a network, which may be meant otherwise.
        return (prefix..<bytes.count * 8).allSatisfy { bytes[$0 / 8] & (0x80 >> UInt8($0 % 8)) == 0 }
    }

    private static func bytes(of address: String) -> [UInt8]? {
        let isIPv6 = address.contains(":")
        var bytes = [UInt8](repeating: 0, count: isIPv6 ? 16 : 4)
        return inet_pton(isIPv6 ? AF_INET6 : AF_INET, address, &bytes) == 1 ? bytes : nil
    }
}
