/// The grammar of `public_url`: `http` or `https`, a host and an optional port, and nothing after that.
enum PublicOrigin {
    static func isValid(_ text: String) -> Bool {
        guard let scheme = ["https://", "http://"].first(where: { text.hasPrefix($0) }) else { return false }
        let authority = text.dropFirst(scheme.count)
        if authority.hasPrefix("[") {
            let host = authority.hasSuffix("]") ? "\(authority):80" : String(authority)
            return ListenAddress(host) != nil
        }
        let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
        guard let host = parts.first, !host.isEmpty, parts.count <= 2,
            host.utf8.allSatisfy(isHostByte)
        else { return false }
        guard parts.count == 2 else { return true }
        return WholeNumber.parse(String(parts[1])).map { (1...65535).contains($0) } ?? false
    }

    /// An origin with a path behind it, in bytes that need no quoting in nginx's configuration.
    static func isEndpoint(_ text: String) -> Bool {
        // In the clear: it is on this machine or beside it, and nginx would not check a certificate.
        guard text.hasPrefix("http://"), let slash = text.dropFirst("http://".count).firstIndex(of: "/")
        else {
            return false
        }
        return isValid(String(text[..<slash]))
            && text[slash...].utf8.allSatisfy { isHostByte($0) || "/_~".utf8.contains($0) }
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
