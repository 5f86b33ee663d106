import Glibc
import ServerSettings

/// Asks the server through nginx whether it is ready.
enum ReadinessProbe {
    /// True when `GET /readyz` is answered with 200 within half a second.
    static func isReady(_ address: ListenAddress) -> Bool {
        let target = SocketAddress(address, reachable: true)
        let descriptor = socket(target.family, Int32(SOCK_STREAM.rawValue) | ListenCheck.closeOnExec, 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var patience = timeval(tv_sec: 0, tv_usec: 500_000)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, size)
        guard target.withPointer({ connect(descriptor, $0, $1) }) == 0 else { return false }
        let request = Array("GET /readyz HTTP/1.1\r\nHost: \(address)\r\nConnection: close\r\n\r\n".utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            return false
        }
        // The status line is in the first bytes; nginx sends them in one piece.
        var answer = [UInt8](repeating: 0, count: 64)
        let count = recv(descriptor, &answer, answer.count, 0)
        guard count > 12 else { return false }
        return String(decoding: answer[..<count], as: UTF8.self).hasPrefix("HTTP/1.1 200")
    }
}
