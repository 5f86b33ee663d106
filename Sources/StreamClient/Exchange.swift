import CCurl
import Glibc

/// One request under way: what libcurl's callbacks need and find. Used on the thread of the client alone.
final class Exchange {
    /// What was read of the answer so far.
    private(set) var head: HTTPHead?
    private(set) var body: [UInt8] = []
    private(set) var tlsVersion: String?
    private(set) var tlsCipher: String?
    /// Why a callback ended the transfer.
    private(set) var end: End?

    enum End {
        case cut
        case idle(seconds: Double)
        case unreadable(code: Int32)
        case short
        case notRepeatable
    }

    private let request: HTTPRequest
    private let callbacks: HTTPClient.Callbacks
    private var isHeadComplete = false
    private var sent: Int64 = 0
    private var lastActivity = Exchange.now
    private var amounts: (received: Int64, sent: Int64) = (0, 0)

    init(_ request: HTTPRequest, _ callbacks: HTTPClient.Callbacks) {
        self.request = request
        self.callbacks = callbacks
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    // MARK: the answer

    /// One line of the head, or of trailers, which are not wanted.
    func received(line: UnsafeRawBufferPointer) -> Bool {
        lastActivity = Exchange.now
        var bytes = line[...]
        while let last = bytes.last, last == 0x0D || last == 0x0A { bytes = bytes.dropLast() }
        let text = String(decoding: bytes, as: UTF8.self)
        if text.hasPrefix("HTTP/"), head == nil || isHeadComplete && isInterim {
            head = Exchange.statusLine(text)
            isHeadComplete = false
        } else if !isHeadComplete {
            if text.isEmpty {
                isHeadComplete = true
                if let head, !isInterim, !callbacks.onHead(head) { return cut() }
            } else if let field = Exchange.field(text) {
                head?.fields.list.append(field)
            }
        }
        return true
    }

    /// What came before the answer itself (RFC 9110 section 15.2).
    private var isInterim: Bool { head.map { $0.status < 200 } ?? false }

    private static func statusLine(_ text: String) -> HTTPHead {
        let parts = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false).map(
            String.init)
        return HTTPHead(
            version: String(parts[0].dropFirst("HTTP/".count)),
            status: parts.count > 1 ? Int(parts[1]) ?? 0 : 0,
            reason: parts.count > 2 ? parts[2] : "", fields: [])
    }

    private static func field(_ text: String) -> HTTPField? {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        return HTTPField(
            String(text[..<colon]), HTTPField.trimmed(text[text.utf8.index(after: colon)...]))
    }

    func received(body bytes: UnsafeRawBufferPointer) -> Bool {
        lastActivity = Exchange.now
        guard let onBody = callbacks.onBody else {
            body.append(contentsOf: bytes)
            return true
        }
        let goesOn = onBody(bytes)
        // What the callback did with them, such as writing into a full pipe, is no silence of the server.
        lastActivity = Exchange.now
        return goesOn || cut()
    }

    private func cut() -> Bool {
        end = .cut
        return false
    }

    // MARK: the request's body

    /// Fills libcurl's buffer; nil ends the transfer.
    func fill(_ buffer: UnsafeMutableRawBufferPointer) -> Int? {
        switch request.body {
        case .none: return 0
        case .bytes(let bytes):
            let count = min(buffer.count, bytes.count - Int(sent))
            bytes.withUnsafeBytes { source in
                buffer.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: source[Int(sent)..<Int(sent) + count]))
            }
            sent += Int64(count)
            return count
        case .descriptor(let descriptor, let length):
            let wanted = min(buffer.count, Int(clamping: length.map { $0 - sent } ?? Int64(buffer.count)))
            guard wanted > 0 else { return 0 }
            while true {
                let count = read(descriptor, buffer.baseAddress, wanted)
                if count == 0, length != nil { return fail(.short) }
                if count >= 0 {
                    sent += Int64(count)
                    return count
                }
                if errno != EINTR { return fail(.unreadable(code: errno)) }
                if !callbacks.goesOn() { return fail(.cut) }
            }
        }
    }

    private func fail(_ reason: End) -> Int? {
        end = reason
        return nil
    }

    /// Goes back to the beginning of the body, to send it again.
    func rewind() -> Bool {
        guard request.isRepeatable else {
            end = .notRepeatable
            return false
        }
        if case .descriptor(let descriptor, _) = request.body, lseek(descriptor, off_t(-sent), SEEK_CUR) < 0 {
            end = .notRepeatable
            return false
        }
        sent = 0
        return true
    }

    // MARK: meanwhile

    /// Called about once a second, and whenever something moves.
    func progress(received: Int64, sent: Int64) -> Bool {
        if !callbacks.goesOn() { return cut() }
        let now = Exchange.now
        if amounts != (received, sent) {
            amounts = (received, sent)
            lastActivity = now
        }
        guard let limit = request.idleLimit, now - lastActivity > limit else { return true }
        end = .idle(seconds: limit)
        return false
    }

    /// libcurl tells the TLS version in words only: `SSL connection using TLSv1.3 / TLS_AES_256_GCM_SHA384`.
    func told(_ line: String) {
        let start = "SSL connection using "
        guard line.hasPrefix(start) else { return }
        let parts = line.dropFirst(start.count).split(whereSeparator: {
            $0 == " " || $0 == "/" || $0.isNewline
        })
        tlsVersion = parts.first.map(String.init)
        tlsCipher = parts.dropFirst().first.map(String.init)
    }
}
