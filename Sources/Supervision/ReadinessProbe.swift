import CLinux
import Glibc
import ServerSettings

/// Asks whether the server, or a part of it, takes requests.
enum ReadinessProbe {
    /// `GET /readyz` through nginx: all parts.
    case nginx(ListenAddress)
    /// `GET /healthz` in FastCGI, through the socket of the workers.
    case pool(socket: String)
    /// `GET /readyz` in FastCGI, through the same: the live process too.
    case store(socket: String)
    /// Any HTTP answer of the live process.
    case live(socket: String)

    init(_ parts: ServerParts, settings: Settings) {
        switch parts {
        case .all: self = .nginx(settings.listen)
        case .pool: self = .pool(socket: settings.layout.workerSocket)
        case .live: self = .live(socket: settings.layout.liveSocket)
        }
    }

    /// What was asked of whom, for an error.
    var description: String {
        switch self {
        case .nginx(let address): "http://\(address)/readyz did not answer 200"
        case .pool(let socket), .store(let socket): "no worker answered at \(socket)"
        case .live(let socket): "the live process did not answer at \(socket)"
        }
    }

    /// True when the answer comes in time.
    ///
    /// - Parameter patience: seconds for each step.
    func isReady(patience: Double = 0.5) -> Bool {
        switch self {
        case .nginx(let address):
            Self.answer(
                SocketAddress(address, reachable: true), Self.http("/readyz", host: "\(address)"), patience
            )
            .hasPrefix("HTTP/1.1 200")
        case .pool(let socket):
            // Eight bytes of a record's head come before the answer.
            Self.answer(SocketAddress(unixPath: socket), Self.fastCGI("/healthz"), patience)
                .contains("Status: 200")
        case .store(let socket):
            Self.answer(SocketAddress(unixPath: socket), Self.fastCGI("/readyz"), patience)
                .contains("Status: 200")
        case .live(let socket):
            Self.answer(SocketAddress(unixPath: socket), Self.http("/healthz", host: "localhost"), patience)
                .hasPrefix("HTTP/1.1 ")
        }
    }

    private static func http(_ path: String, host: String) -> [UInt8] {
        Array("GET \(path) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n".utf8)
    }

    /// GET as one FastCGI responder request (FastCGI 1.0, sections 3 and 8).
    private static func fastCGI(_ path: String) -> [UInt8] {
        func record(_ type: UInt8, _ content: [UInt8]) -> [UInt8] {
            [1, type, 0, 1, UInt8(content.count >> 8), UInt8(content.count & 0xFF), 0, 0] + content
        }
        let parameters: [(String, String)] = [
            ("REQUEST_METHOD", "GET"), ("REQUEST_URI", path), ("REQUEST_SCHEME", "http"),
        ]
        var encoded: [UInt8] = []
        for (name, value) in parameters {
            encoded +=
                [UInt8(name.utf8.count), UInt8(value.utf8.count)] + Array(name.utf8) + Array(value.utf8)
        }
        return record(1, [0, 1, 0, 0, 0, 0, 0, 0]) + record(4, encoded) + record(4, []) + record(5, [])
    }

    /// The first bytes of the answer; the status line is in them, sent in one piece. Empty when none comes.
    private static func answer(_ target: SocketAddress, _ request: [UInt8], _ patience: Double) -> String {
        let descriptor = socket(target.family, Int32(SOCK_STREAM.rawValue) | ListenCheck.closeOnExec, 0)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: Int(patience), tv_usec: Int(patience * 1e6) % 1_000_000)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        guard target.withPointer({ connect(descriptor, $0, $1) }) == 0,
            send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count
        else { return "" }
        var answer = [UInt8](repeating: 0, count: 64)
        let count = recv(descriptor, &answer, answer.count, 0)
        guard count > 12 else { return "" }
        return String(decoding: answer[..<count], as: UTF8.self)
    }
}

/// Whether a server takes requests, for commands.
public enum ServerReadiness {
    /// Asks the workers of a data directory, who look at the log and at the live process; nginx is not asked. Takes half a
    /// second at most.
    public static func isReady(_ layout: DataDirectoryLayout) -> Bool {
        ReadinessProbe.store(socket: layout.workerSocket).isReady()
    }
}
