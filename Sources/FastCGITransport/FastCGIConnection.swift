import CFastCGI
import CLinux
import Glibc
import StreamService
import Telemetry

/// A kept connection from nginx and libfcgi's request on it. It belongs to one thread.
final class FastCGIConnection {
    private let request: UnsafeMutablePointer<FCGX_Request>
    /// When the request in hand passed which point.
    let trace = RequestTrace()
    /// The target of the request in hand, and the bytes of its body.
    var target = ""
    var bytesIn = 0
    /// Whether a request is in hand.
    var isBusy = false
    /// Whether the peer has gone while a request was in hand.
    var hasHungUp = false

    /// Takes ownership of an accepted descriptor.
    init?(descriptor: Int32) {
        request = .allocate(capacity: 1)
        request.initialize(to: FCGX_Request())
        // A listen socket of -1 makes FCGX_Accept_r fail instead of waiting in accept(2) once the peer
        // has gone.
        guard FCGX_InitRequest(request, -1, 0) == 0 else {
            request.deallocate()
            return nil
        }
        request.pointee.ipcFd = descriptor
        // FCGX_Accept_r begins with FCGX_Finish_r, which would close the descriptor otherwise.
        request.pointee.keepConnection = 1
    }

    deinit {
        FCGX_Free(request, 1)
        request.deallocate()
    }

    /// -1 once closed.
    var descriptor: Int32 { request.pointee.ipcFd }

    /// Gives up the descriptor between two requests, when nothing of it is in libfcgi's buffers. It stays open.
    func release() -> Int32 {
        defer { request.pointee.ipcFd = -1 }
        return request.pointee.ipcFd
    }

    /// Reads the parameters of the next request; call it when the descriptor is readable. False when the
    /// peer has gone or spoke nonsense.
    func receive() -> Bool { FCGX_Accept_r(request) == 0 }

    /// The parameters, as `NAME=value`; valid until `send`.
    var parameters: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? { request.pointee.envp }

    /// Reads a body of known length; what comes may be shorter.
    func readBody(length: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            count = 0
            guard length > 0, let base = buffer.baseAddress else { return }
            base.withMemoryRebound(to: CChar.self, capacity: length) { start in
                while count < length {
                    let part = min(length - count, Int(Int32.max))
                    let got = FCGX_GetStr(start + count, Int32(part), request.pointee.in)
                    guard got > 0 else { return }
                    count += Int(got)
                }
            }
        }
    }

    /// Reads on to the end of the request. Its last record may lie behind what libfcgi has read with the others (8 KiB at
    /// a time); left there, it would be taken for the beginning of the next request, which nginx would answer with 502.
    func readToEnd() {
        // As much as lies on the stack.
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { rest in
            while FCGX_GetStr(rest.baseAddress, Int32(rest.count), request.pointee.in) > 0 {}
        }
    }

    /// Forces the connection to close behind the answer, for when its input was not read to the end.
    func closeAfterwards() { request.pointee.keepConnection = 0 }

    /// Answers and finishes the request.
    func send(_ response: ServiceResponse) {
        put("Status: ")
        put(number: response.status)
        put(StatusLine.reason(response.status))
        put(response.head)
        put(response.exposureLine)
        if response.hasBody, response.sendsLength {
            put("Content-Length: ")
            put(number: response.body.count)
            put("\r\n")
        }
        put("\r\n")
        if response.body.count > FastCGIConnection.directFrom {
            FCGX_FFlush(request.pointee.out)
            sendDirectly(response.body)
        } else {
            put(response.body)
        }
        FCGX_Finish_r(request)
    }

    private func put(_ text: StaticString) {
        text.utf8Start.withMemoryRebound(to: CChar.self, capacity: text.utf8CodeUnitCount) { start in
            _ = FCGX_PutStr(start, Int32(text.utf8CodeUnitCount), request.pointee.out)
        }
    }

    private func put(number: Int) {
        if number >= 10 { put(number: number / 10) }
        FCGX_PutChar(Int32(UInt8(ascii: "0")) + Int32(number % 10), request.pointee.out)
    }

    private func put(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            _ = FCGX_PutStr(
                base.assumingMemoryBound(to: CChar.self), Int32(buffer.count), request.pointee.out)
        }
    }

    // MARK: Large bodies

    /// libfcgi's writer copies into records of 8 KiB; larger bodies go out from where they lie.
    private static let directFrom = 8_192
    /// A multiple of 8, so that records need no padding, below the format's 65,535.
    private static let recordContent = 65_528

    /// Writes FCGI_STDOUT records (FastCGI specification, section 3.3) behind what libfcgi has flushed.
    private func sendDirectly(_ body: [UInt8]) {
        body.withUnsafeBytes { bytes in
            var offset = 0
            while offset < bytes.count {
                let count = min(FastCGIConnection.recordContent, bytes.count - offset)
                let padding = (8 - count % 8) % 8
                var header: [UInt8] = [
                    1, 6, UInt8(truncatingIfNeeded: request.pointee.requestId >> 8),
                    UInt8(truncatingIfNeeded: request.pointee.requestId), UInt8(count >> 8),
                    UInt8(count & 0xFF), UInt8(padding), 0,
                ]
                guard write(&header),
                    write(UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)]))
                else { return }
                if padding > 0 {
                    var zeros = [UInt8](repeating: 0, count: padding)
                    guard write(&zeros) else { return }
                }
                offset += count
            }
        }
    }

    private func write(_ bytes: inout [UInt8]) -> Bool { bytes.withUnsafeBytes { write($0) } }

    private func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let written = Glibc.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            if written < 0, errno == EINTR { continue }
            guard written > 0 else {
                closeAfterwards()
                return false
            }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
        }
        return true
    }
}

/// The status line of an answer (RFC 3875 section 6.3.3).
enum StatusLine {
    /// What follows the number: the phrase of RFC 9110 section 15 or its extensions. nginx passes it on, and
    /// has none of its own for an answer without one.
    static func reason(_ status: Int) -> StaticString {
        switch status {
        case 200: " OK\r\n"
        case 201: " Created\r\n"
        case 204: " No Content\r\n"
        case 304: " Not Modified\r\n"
        case 400: " Bad Request\r\n"
        case 401: " Unauthorized\r\n"
        case 403: " Forbidden\r\n"
        case 404: " Not Found\r\n"
        case 405: " Method Not Allowed\r\n"
        case 409: " Conflict\r\n"
        case 410: " Gone\r\n"
        case 413: " Content Too Large\r\n"
        case 414: " URI Too Long\r\n"
        case 415: " Unsupported Media Type\r\n"
        case 431: " Request Header Fields Too Large\r\n"
        case 500: " Internal Server Error\r\n"
        case 501: " Not Implemented\r\n"
        case 503: " Service Unavailable\r\n"
        case 507: " Insufficient Storage\r\n"
        default: " Unknown\r\n"
        }
    }
}
