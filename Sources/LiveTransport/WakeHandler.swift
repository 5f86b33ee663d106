import NIOCore
import StreamStore
import Telemetry
import WakeChannel

/// Takes wake-ups from one worker process and spreads them over the hubs.
final class WakeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let hubs: [LiveHub]
    private var telemetry: Telemetry? { hubs.first?.telemetry }
    private var rest = ByteBuffer()
    private var changed: Set<Int64> = []
    /// Whether the peer has said anything: a probe of readiness has not.
    private var isWorker = false

    init(hubs: [LiveHub]) { self.hubs = hubs }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        rest.writeBuffer(&buffer)
        isWorker = true
        while rest.readableBytes >= WakeMessage.size,
            let id = rest.readInteger(endianness: .little, as: Int64.self)
        {
            if let committed = WakeMessage.time(id) {
                telemetry?.observe(.wakeLatency, MonotonicNanoseconds.now - committed)
            } else {
                changed.insert(id)
            }
        }
        rest.discardReadBytes()
    }

    /// All that came in one go is looked at once.
    func channelReadComplete(context: ChannelHandlerContext) {
        guard !changed.isEmpty else { return }
        let ids = changed
        telemetry?.add(.wakeUps, ids.count)
        changed.removeAll(keepingCapacity: true)
        // A worker that has just come may have told another process of its last commits.
        if ids.contains(WakeMessage.greeting) { return lookAtEverything() }
        for hub in hubs {
            if hub.loop.inEventLoop {
                for id in ids { hub.changed(id) }
            } else {
                hub.loop.execute { for id in ids { hub.changed(id) } }
            }
        }
    }

    /// A worker that was killed may have committed without saying so.
    func channelInactive(context: ChannelHandlerContext) {
        if isWorker { lookAtEverything() }
    }

    private func lookAtEverything() {
        for hub in hubs { hub.loop.execute { hub.changedAll() } }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
