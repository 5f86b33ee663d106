import CLinux
import Glibc

/// Tells the service manager how the server is, in the words of sd_notify(3). Where nobody asked for it, nothing is sent.
struct ServiceNotifier {
    /// Variables that speak to this process alone: children must not answer for it.
    static let variables: Set = [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
    ]

    private let path: String?
    /// Seconds between two signs of life, half of what the service manager allows; nil when it waits for none.
    let watchdogInterval: Double?

    init(environment: [String: String]) {
        path = environment["NOTIFY_SOCKET"].flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
        let isMeant = environment["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap { UInt64($0) } ?? 0
        watchdogInterval = path != nil && isMeant && microseconds > 0 ? Double(microseconds) / 2e6 : nil
    }

    /// The server takes requests, after its start or after a reload.
    func ready(_ status: String) { send("READY=1\nSTATUS=\(status)") }

    /// Settings and processes are being renewed; ``ready(_:)`` ends it.
    func reloading(_ status: String) {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let microseconds = time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
        send("RELOADING=1\nMONOTONIC_USEC=\(microseconds)\nSTATUS=\(status)")
    }

    /// The server is ending.
    func stopping() { send("STOPPING=1\nSTATUS=stopping") }

    /// One line for `systemctl status`.
    func status(_ line: String) { send("STATUS=\(line)") }

    /// A sign of life, to be sent only when the server's processes answer.
    func beat() { send("WATCHDOG=1") }

    private func send(_ message: String) {
        guard let path else { return }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        guard name.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        // An abstract name begins with NUL, and has no end but the length of the address.
        if name[0] == UInt8(ascii: "@") { name[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | ListenCheck.closeOnExec, 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(message.utf8)
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
    }
}
