import CCrypto
import Glibc
import StreamProtocol

/// nginx's copies of what a stream's first piece is read by.
///
/// A copy is used for up to two seconds before the pool is asked again. For a URL with an offset token that is
/// harmless: the token is of one incarnation. The start of a stream has none in its URL, so whoever reads a stream that
/// was deleted, or made again, a moment ago would get the old one. Removing the copy's file makes nginx ask
/// (`fastcgi_cache_path` names files by the MD5 of the key). Where the cache lies elsewhere, or belongs to
/// somebody else, nothing happens and the two seconds remain.
struct ProxyCache: Sendable {
    let directory: String

    /// The spellings under which clients read from the start (PROTOCOL section 2.4).
    private static let queries = ["", "?offset=-1", "?offset=\(Offset(incarnation: 0, position: 0).text)"]

    /// Removes the copies of a stream's first piece.
    func forget(_ name: StreamName) {
        let parts = name.text.split(separator: "/", maxSplits: 1)
        guard parts.count == 2 else { return }
        var paths = ["/v1/\(parts[0])/stream/\(parts[1])"]
        if parts[0] == StreamName.defaultProject { paths.append("/v1/stream/\(parts[1])") }
        for path in paths {
            for query in ProxyCache.queries {
                if let file = file(ofKey: "GET \(path)\(query)") { unlink(file) }
            }
        }
    }

    /// Where nginx keeps the copy of a key, with `levels=1:2`.
    private func file(ofKey key: String) -> String? {
        var digest = [UInt8](repeating: 0, count: 16)
        var length = 0
        let bytes = Array(key.utf8)
        guard EVP_Q_digest(nil, "MD5", nil, bytes, bytes.count, &digest, &length) == 1, length == 16 else {
            return nil
        }
        let digits = Array("0123456789abcdef")
        let name = String(digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
        return "\(directory)/\(name.suffix(1))/\(name.dropLast().suffix(2))/\(name)"
    }
}
