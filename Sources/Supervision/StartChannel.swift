import CLinux
import Glibc

/// The supervisor's end of a socket on which a child says how far it is, and is told to begin: bytes of one letter.
///
/// A child says `R` when it could serve, begins when it reads `G`, and then says `S`. When the supervisor closes its end
/// before that, or ends, the child ends too.
final class StartChannel {
    private let descriptor: Int32
    private var heard: [UInt8] = []
    private var hasGone = false

    /// - Returns: the channel, and the child's end, which the caller closes once the child has it.
    static func make() throws(SupervisionError) -> (channel: StartChannel, child: Int32) {
        let pair = try SocketPair.open(SOCK_STREAM)
        return (StartChannel(pair.0), pair.1)
    }

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Takes what the child has said, without waiting.
    private func listen() {
        var byte: UInt8 = 0
        while recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT)) == 1 { heard.append(byte) }
    }

    /// Whether the child could serve.
    var isReady: Bool {
        listen()
        return heard.contains(UInt8(ascii: "R"))
    }

    /// Whether the child serves.
    var isServing: Bool {
        listen()
        return heard.contains(UInt8(ascii: "S"))
    }

    /// Lets the child begin.
    func go() {
        guard !hasGone else { return }
        hasGone = true
        var byte = UInt8(ascii: "G")
        _ = send(descriptor, &byte, 1, Int32(MSG_NOSIGNAL))
    }
}
