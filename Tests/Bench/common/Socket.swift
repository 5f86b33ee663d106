import CLinux
import Foundation

/// Lets the process open `count` files, if the hard limit allows that.
public func raiseFileLimit(to count: Int) throws {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
        throw Failure.system("getrlimit")
    }
    guard limit.rlim_max >= rlim_t(count) else {
        throw Failure("\(count) open files are needed and the limit is \(limit.rlim_max)")
    }
    limit.rlim_cur = max(limit.rlim_cur, rlim_t(count))
    guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
        throw Failure.system("setrlimit")
    }
}

/// Opens a TCP connection. It blocks, but for no longer than ten seconds at a time.
public func connectTCP(host: String, port: UInt16) throws -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else {
        throw Failure("not an IPv4 address: \(host)")
    }
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else {
        throw Failure.system("socket")
    }
    var patience = timeval(tv_sec: 10, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, size)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
    var yes: Int32 = 1
    setsockopt(
        descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
    let connected = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard connected == 0 else {
        let failure = Failure.system("connect to \(host):\(port)")
        close(descriptor)
        throw failure
    }
    return descriptor
}

/// Sends all of `bytes`.
public func sendAll(_ descriptor: Int32, _ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { buffer in
        var rest = buffer[...]
        while !rest.isEmpty {
            let sent = send(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count, 0)
            guard sent > 0 else {
                throw Failure.system("send")
            }
            rest = rest.dropFirst(sent)
        }
    }
}
