import Glibc
import ServerSettings

/// The binary form of a socket address for the calls of the system.
struct SocketAddress {
    private var storage = sockaddr_storage()
    private let length: socklen_t
    let family: Int32

    /// - Parameter reachable: replaces the wildcard addresses by loopback, to connect instead of to bind.
    init(_ address: ListenAddress, reachable: Bool = false) {
        family = address.isIPv6 ? AF_INET6 : AF_INET
        let port = in_port_t(UInt16(address.port).bigEndian)
        if address.isIPv6 {
            var inet = sockaddr_in6()
            inet.sin6_family = sa_family_t(AF_INET6)
            inet.sin6_port = port
            inet_pton(AF_INET6, address.host, &inet.sin6_addr)
            var wildcard = in6_addr()
            if reachable, memcmp(&wildcard, &inet.sin6_addr, MemoryLayout<in6_addr>.size) == 0 {
                inet_pton(AF_INET6, "::1", &inet.sin6_addr)
            }
            length = socklen_t(MemoryLayout<sockaddr_in6>.size)
            memcpy(&storage, &inet, Int(length))
        } else {
            var inet = sockaddr_in()
            inet.sin_family = sa_family_t(AF_INET)
            inet.sin_port = port
            let host = reachable && address.host == "0.0.0.0" ? "127.0.0.1" : address.host
            inet_pton(AF_INET, host, &inet.sin_addr)
            length = socklen_t(MemoryLayout<sockaddr_in>.size)
            memcpy(&storage, &inet, Int(length))
        }
    }

    /// - Parameter path: at most 107 bytes.
    init(unixPath path: String) {
        family = AF_UNIX
        var unix = sockaddr_un()
        unix.sun_family = sa_family_t(AF_UNIX)
        length = socklen_t(MemoryLayout<sockaddr_un>.size)
        withUnsafeMutableBytes(of: &unix.sun_path) { target in
            target.copyBytes(from: path.utf8.prefix(DataDirectoryLayout.longestSocketPath))
        }
        memcpy(&storage, &unix, Int(length))
    }

    func withPointer(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }
}
