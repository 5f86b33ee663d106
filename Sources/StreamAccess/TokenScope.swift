/// What a token allows. Each right includes the smaller ones, so `contains(.read)` holds for all of them.
public struct TokenScope: OptionSet, Hashable, Sendable {
    /// One bit for each right.
    public let rawValue: UInt8

    /// Takes bits, and adds what they include.
    public init(rawValue: UInt8) {
        switch rawValue {
        case 0b100...: self.rawValue = 0b111
        case 0b010...: self.rawValue = 0b011
        default: self.rawValue = rawValue
        }
    }

    /// Reading streams.
    public static let read = TokenScope(rawValue: 0b001)
    /// Creating, appending to, closing and deleting streams, and reading them.
    public static let write = TokenScope(rawValue: 0b010)
    /// All that a project's token can allow, listing its streams included.
    public static let manage = TokenScope(rawValue: 0b100)

    /// Reads the `scope` claim: one or several of `read`, `write` and `manage` with spaces between them (RFC
    /// 8693 section 4.2); nil for none of them, and for any other word.
    public init?(text: String) {
        var scope: TokenScope = []
        for word in text.utf8.split(separator: UInt8(ascii: " ")) {
            switch true {
            case word.elementsEqual("read".utf8): scope.formUnion(.read)
            case word.elementsEqual("write".utf8): scope.formUnion(.write)
            case word.elementsEqual("manage".utf8): scope.formUnion(.manage)
            default: return nil
            }
        }
        guard !scope.isEmpty else { return nil }
        self = scope
    }

    /// The `scope` claim that allows this: the largest right alone, since it includes the others.
    public var text: String {
        if contains(.manage) { return "manage" }
        if contains(.write) { return "write" }
        return isEmpty ? "" : "read"
    }
}
