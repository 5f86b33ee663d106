import CLinux
import Glibc

/// How a worker that is to end gives its connections to those that stay.
///
/// nginx keeps connections open and may send a request on one at any time, also at the moment at which it is closed: that
/// request would fail, and nginx must not repeat one that writes. So a connection is never closed but sent, as an open
/// descriptor, through a pair of sockets that all workers have; whoever runs takes it out at the other end. What nginx
/// has written meanwhile is read there. While nobody runs, connections wait in the pair, which the supervisor holds too.
public struct ConnectionHandover: Sendable {
    /// Where connections go in.
    let giving: Int32
    /// Where they come out.
    let taking: Int32

    /// - Parameters:
    ///   - giving: one end of a pair of sockets of the kind SOCK_SEQPACKET.
    ///   - taking: the other end.
    public init(giving: Int32, taking: Int32) {
        self.giving = giving
        self.taking = taking
    }

    /// Sends a connection and closes this process's descriptor of it.
    ///
    /// - Returns: false when the pair is full (or too many descriptors are on their way): try again soon.
    func give(_ connection: Int32) -> Bool {
        while ds_send_descriptor(giving, connection) != 0 {
            guard errno == EINTR else { return false }
        }
        // Only close(2): shutdown(2), which libfcgi would use, ends the connection for all who have it.
        close(connection)
        return true
    }

    /// A connection that another worker has sent; nil when none is there.
    func take() -> Int32? {
        while true {
            let descriptor = ds_receive_descriptor(taking)
            if descriptor >= 0 { return descriptor }
            if errno != EINTR { return nil }
        }
    }
}
