import Glibc
import ServerSettings

/// Finds out before nginx starts whether it will get its address, to say so in one clear line.
enum ListenCheck {
    /// Binds the address and releases it.
    ///
    /// - Parameter patience: seconds to try again while the address is in use; processes of a server that was just
    ///   killed need a moment to end.
    static func check(_ address: ListenAddress, patience: Double) throws(SupervisionError) {
        let deadline = MonotonicTime.now + patience
        var code = bindOnce(address)
        while code == EADDRINUSE, MonotonicTime.now < deadline {
            usleep(50_000)
            code = bindOnce(address)
        }
        try judge(code, address)
    }

    /// - Parameter code: what ``bindOnce(_:)`` returned.
    static func judge(_ code: Int32, _ address: ListenAddress) throws(SupervisionError) {
        switch code {
        case 0:
            return
        case EADDRINUSE:
            throw SupervisionError(
                .unavailable,
                "address \(address) is in use by another program; choose another one, for instance "
                    + "DS_LISTEN=\(address.isIPv6 ? "[\(address.host)]" : address.host):\(address.port % 65535 + 1)"
            )
        case EACCES:
            throw SupervisionError(
                .unavailable,
                "this user may not listen on \(address); choose a port above 1023 with DS_LISTEN")
        case EADDRNOTAVAIL:
            throw SupervisionError(
                .unavailable, "address \(address) is not one of this machine's; change it with DS_LISTEN")
        default:
            throw .system("listening on \(address)", code: code)
        }
    }

    /// Zero, or the error of binding the address the way nginx does.
    static func bindOnce(_ address: ListenAddress) -> Int32 {
        let target = SocketAddress(address)
        let descriptor = socket(target.family, Int32(SOCK_STREAM.rawValue) | closeOnExec, 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        var on: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
        if address.isIPv6 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, size) }
        return target.withPointer { bind(descriptor, $0, $1) } == 0 ? 0 : errno
    }

    /// `SOCK_CLOEXEC` as the number that `socket` takes.
    static let closeOnExec = Int32(SOCK_CLOEXEC.rawValue)
}
