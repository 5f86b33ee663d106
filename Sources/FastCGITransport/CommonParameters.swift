import Glibc
import StreamService
import Telemetry

/// What every request has. nginx says it in one parameter (nginx/durable-streams-request.conf), since libfcgi takes each into
/// memory of its own, some hundred instructions. Others may say it in as many as it has parts, by the names of CGI (RFC 3875).
struct CommonParameters {
    private(set) var method = Method.other
    private(set) var target = ""
    private(set) var scheme = "http"
    private(set) var contentLength = 0
    private(set) var mayBeStored = true
    private(set) var takesFiles = false

    /// Reads all parts: method, scheme, whether no cache keeps the answer, whether nginx can send a file, id, bytes of the
    /// body, target. A space stands between two; the target may hold more.
    mutating func readAll(_ value: UnsafeBufferPointer<UInt8>, _ trace: RequestTrace) {
        var rest = value
        method = Method(rest.removeWord())
        if rest.removeWord().equals("https") { scheme = "https" }
        mayBeStored = rest.removeWord().equals("0")
        takesFiles = rest.removeWord().equals("1")
        trace.setID(rest.removeWord())
        contentLength = rest.removeWord().number
        target = rest.text
    }

    /// Reads one part that comes alone.
    mutating func read(
        _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>, _ trace: RequestTrace
    ) {
        if name.equals("REQUEST_METHOD") {
            method = Method(value)
        } else if name.equals("REQUEST_URI") {
            target = value.text
        } else if name.equals("CONTENT_LENGTH") {
            contentLength = value.number
        } else if name.equals("REQUEST_SCHEME") {
            if value.equals("https") { scheme = "https" }
        } else if name.equals("DS_REQUEST_ID") {
            trace.setID(value)
        } else if name.equals("DS_UNCACHED") {
            mayBeStored = value.equals("0")
        } else if name.equals("DS_TAKES_FILES") {
            takesFiles = value.equals("1")
        }
    }
}

/// What names and values of parameters are read by.
extension UnsafeBufferPointer<UInt8> {
    func begins(with text: StaticString) -> Bool {
        guard count >= text.utf8CodeUnitCount, let start = baseAddress else { return false }
        return memcmp(start, text.utf8Start, text.utf8CodeUnitCount) == 0
    }

    func equals(_ text: StaticString) -> Bool { count == text.utf8CodeUnitCount && begins(with: text) }

    /// Takes what stands before the next space off, and the space.
    fileprivate mutating func removeWord() -> UnsafeBufferPointer<UInt8> {
        guard let start = baseAddress, let found = memchr(start, 0x20, count) else {
            defer { self = UnsafeBufferPointer(rebasing: self[count...]) }
            return self
        }
        let length = UnsafeRawPointer(found) - UnsafeRawPointer(start)
        defer { self = UnsafeBufferPointer(rebasing: self[(length + 1)...]) }
        return UnsafeBufferPointer(rebasing: self[..<length])
    }

    /// A length as nginx writes it; 0 for anything else.
    var number: Int {
        guard count <= 18 else { return .max }
        var value = 0
        for byte in self {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return 0 }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
        }
        return value
    }

    /// The characters, with replacements for what is not UTF-8.
    var text: String { String(decoding: self, as: UTF8.self) }
}
