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
    /// What came in this go, each stream once.
    private var changes: [StreamChange] = []
    private var places: [Int64: Int] = [:]
    /// A worker that has just come may have told another process of its last commits.
    private var mustLookAtEverything = false
    /// Whether the peer has said anything: a probe of readiness has not.
    private var isWorker = false

    init(hubs: [LiveHub]) { self.hubs = hubs }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        isWorker = true
        if rest.readableBytes > 0 {
            rest.writeBuffer(&buffer)
            swap(&rest, &buffer)
        }
        let taken = buffer.withUnsafeReadableBytes { bytes in take(bytes, context) }
        guard let taken else {
            // Whatever it meant is looked for when its end is noticed.
            return context.close(promise: nil)
        }
        buffer.moveReaderIndex(forwardBy: taken)
        if buffer.readableBytes > 0 {
            buffer.discardReadBytes()
            rest = buffer
        } else if rest.readableBytes > 0 {
            rest.clear()
        }
    }

    /// Takes all parts that are there; gives how many bytes they were, nil for what is no message.
    private func take(_ bytes: UnsafeRawBufferPointer, _ context: ChannelHandlerContext) -> Int? {
        var place = 0
        do throws(WakeMessage.Malformed) {
            while let part = try WakeMessage.next(in: bytes, at: &place) {
                switch part {
                case .greeting: mustLookAtEverything = true
                case .offer: accept(context)
                case .committed(let time):
                    telemetry?.observe(.wakeLatency, MonotonicNanoseconds.now - time)
                case .changed(let id): note(StreamChange(id: id))
                case .appended(let id, let start, let end, let payload):
                    // Most are nobody's.
                    let appended =
                        isWatched(id) ? Appended(start: start, end: end, payload: Array(bytes[payload])) : nil
                    note(StreamChange(id: id, appended: appended))
                }
            }
        } catch {
            return nil
        }
        return place
    }

    private func isWatched(_ id: Int64) -> Bool {
        for hub in hubs where !hub.loop.inEventLoop || hub.watches[id] != nil { return true }
        return false
    }

    private func note(_ change: StreamChange) {
        telemetry?.add(.wakeUps)
        guard !changes.isEmpty else { return changes.append(change) }
        if places.isEmpty { places[changes[0].id] = 0 }
        if let place = places[change.id] {
            // Several changes are one look, and its events hold all of them.
            changes[place].appended = nil
        } else {
            places[change.id] = changes.count
            changes.append(change)
        }
    }

    private func accept(_ context: ChannelHandlerContext) {
        context.writeAndFlush(NIOAny(ByteBuffer(bytes: [WakeMessage.acceptance])), promise: nil)
    }

    /// All that came in one go is looked at once.
    func channelReadComplete(context: ChannelHandlerContext) {
        if mustLookAtEverything {
            forgetChanges()
            mustLookAtEverything = false
            return lookAtEverything()
        }
        guard !changes.isEmpty else { return }
        for hub in hubs {
            if hub.loop.inEventLoop {
                for change in changes { hub.changed(change) }
            } else {
                hub.loop.execute { [changes] in for change in changes { hub.changed(change) } }
            }
        }
        forgetChanges()
    }

    private func forgetChanges() {
        changes.removeAll(keepingCapacity: true)
        if !places.isEmpty { places.removeAll(keepingCapacity: true) }
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
