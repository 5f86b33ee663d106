import CLinux
import Glibc
import NIOCore

/// Sends on the socket of a channel past its pipeline. Lives on one event loop.
///
/// The socket takes bytes at once unless its reader is behind. Then nothing lies in the channel either, and one system
/// call is all it takes; the channel's pipeline, its queue of writes and its promises cost twice as much as that. What
/// the socket doesn't take goes through the channel, which waits for it, and which finds out about errors.
final class DirectSocket {
    let channel: any Channel
    /// Nil: everything goes through the channel.
    private let socket: NIOBSDSocket.Handle?
    /// Writes that the channel has not done yet: as long as there are some, all others wait behind them.
    private var pendingWrites = 0

    init(_ channel: any Channel) {
        self.channel = channel
        socket = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self, { $0 })
    }

    /// Sends bytes behind all that was sent before.
    func send(_ bytes: ByteBuffer) {
        var rest = bytes
        // A closed channel has given its descriptor back, and somebody else may have it.
        if pendingWrites == 0, let socket, channel.isActive {
            let sent = bytes.withUnsafeReadableBytes { bytes in
                Glibc.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            }
            if sent == bytes.readableBytes { return }
            if sent > 0 { rest.moveReaderIndex(forwardBy: sent) }
        }
        note(channel.writeAndFlush(rest))
    }

    /// Keeps everything sent later behind a write through the channel.
    private func note(_ write: EventLoopFuture<Void>) {
        pendingWrites += 1
        // A weak reference to it would make each of its references cost several times as much, for ever.
        write.assumeIsolated().whenComplete { [self] _ in pendingWrites -= 1 }
    }

    /// Whether the peer has not taken yet what was sent.
    var hasUnreadBytes: Bool {
        guard let socket, channel.isActive else { return false }
        return ds_has_unread_bytes(socket) != 0
    }
}
