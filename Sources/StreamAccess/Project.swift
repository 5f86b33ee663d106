import StreamProtocol
import StreamStore

/// A project as requests see it.
public final class Project: Sendable {
    /// Its name in URLs.
    public let name: String
    /// From where browsers may use it.
    public let origins: OriginRule
    /// What it may take; nil: as much as there is.
    public let quota: ProjectQuota?
    let readerGeneration: Int64
    /// Another for other origins.
    let originGeneration: String
    /// Keys of tokens, newest first.
    let secrets: [(id: Int64, key: [UInt8])]

    init(_ record: ProjectRecord, _ key: SecretsKey) {
        name = record.name
        origins = OriginRule(record.origins)
        quota = record.quota.isUnlimited ? nil : record.quota
        readerGeneration = record.readerGeneration
        // Only meant to differ from one change to the next, and to be the same in all processes.
        let hash = record.origins.joined(separator: " ").utf8.reduce(UInt32(2_166_136_261)) {
            ($0 ^ UInt32($1)) &* 16_777_619
        }
        originGeneration = String(hash, radix: 16)
        secrets = record.secrets.compactMap { secret in
            key.open(secret.sealed, for: record.name).map { (secret.id, Array($0.utf8)) }
        }
    }
}

/// From which origins browsers may use a project (Fetch standard, section 3.2).
public enum OriginRule: Equatable, Sendable {
    /// From none but the server's own.
    case none
    /// From any.
    case any
    /// From these.
    case list([String])

    init(_ origins: [String]) {
        self = origins.isEmpty ? .none : origins == ["*"] ? .any : .list(origins)
    }

    /// What an answer says about origins.
    ///
    /// - Parameter origin: of the request.
    public func answer(to origin: String?) -> CrossOrigin {
        switch self {
        case .none: CrossOrigin()
        case .any: CrossOrigin(allowed: "*")
        case .list(let known):
            CrossOrigin(allowed: origin.flatMap { known.contains($0) ? $0 : nil }, varies: true)
        }
    }

    /// Whether a text can be an origin in a list: scheme, host, and a port that is not the scheme's own; in lower case,
    /// as browsers send it (RFC 6454 section 6.2).
    public static func isOrigin(_ text: String) -> Bool {
        guard let mark = text.firstRange(of: "://") else { return false }
        let (scheme, rest) = (text[..<mark.lowerBound], text[mark.upperBound...])
        guard let first = scheme.utf8.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first),
            scheme.utf8.allSatisfy({ isHostByte($0) || $0 == UInt8(ascii: "+") })
        else { return false }
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            let address = rest[rest.index(after: rest.startIndex)..<end].utf8
            return !address.isEmpty && address.allSatisfy { isHostByte($0) || $0 == UInt8(ascii: ":") }
                && isPort(rest[rest.index(after: end)...], scheme)
        }
        let colon = rest.firstIndex(of: ":") ?? rest.endIndex
        return colon > rest.startIndex && rest[..<colon].utf8.allSatisfy(isHostByte)
            && isPort(rest[colon...], scheme)
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "."):
            true
        default: false
        }
    }

    private static func isPort(_ text: Substring, _ scheme: Substring) -> Bool {
        if text.isEmpty { return true }
        guard text.first == ":", let port = UInt16(text.dropFirst()), String(port) == text.dropFirst() else {
            return false
        }
        return !(scheme == "https" && port == 443) && !(scheme == "http" && port == 80)
    }
}

/// What an answer says about origins.
public struct CrossOrigin: Equatable, Sendable {
    /// `Access-Control-Allow-Origin`; nil: none.
    public var allowed: String?
    /// Whether another origin would get another answer.
    public var varies = false
}
