import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import StreamProtocol
import StreamService
import StreamStore

/// Serves long-polls and event streams on one Unix socket and takes wake-ups on another.
///
/// Started and stopped from a plain thread: an asynchronous main function would undo the blocking of
/// signals on the main thread.
public final class LiveServer: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let pool: ReaderPool
    private let hubs: [LiveHub]
    private let listeners: [any Channel]

    /// Threads that read for readers who are behind.
    private static let readerThreads = 2

    /// Starts to serve.
    ///
    /// - Parameters:
    ///   - liveSocket: descriptor of a listening socket for nginx; taken over.
    ///   - wakeSocket: descriptor of a listening socket for the workers; taken over.
    public init(
        liveSocket: Int32, wakeSocket: Int32, loops: Int, reads: LiveReads, files: StoreFiles,
        options: LiveOptions, log: Logger
    ) throws {
        group = MultiThreadedEventLoopGroup(numberOfThreads: loops)
        let pool = ReaderPool(threads: LiveServer.readerThreads, files: files, log: log)
        self.pool = pool
        var hubs: [LiveHub] = []
        for loop in group.makeIterator() {
            hubs.append(
                LiveHub(
                    loop: loop, reads: reads, options: options, pool: pool, reader: try StoreReader(files)))
        }
        for hub in hubs { hub.start() }
        self.hubs = hubs
        listeners = [
            try LiveServer.listenForWakeUps(wakeSocket, group, hubs),
            try LiveServer.listenForRequests(liveSocket, group, hubs),
        ]
    }

    /// Answers what waits, ends the event streams, and stops.
    public func stop() throws {
        for listener in listeners { try? listener.close().wait() }
        for hub in hubs { try hub.loop.submit { hub.drain() }.wait() }
        try pool.stop()
        try group.syncShutdownGracefully()
    }

    private static func listenForRequests(
        _ socket: Int32, _ group: MultiThreadedEventLoopGroup, _ hubs: [LiveHub]
    ) throws -> any Channel {
        try ServerBootstrap(group: group)
            // nginx gets an error at once, not a wait, when the queue of a Unix socket is full.
            .serverChannelOption(.backlog, value: 4_096)
            .childChannelOption(
                .writeBufferWaterMark,
                value: .init(low: LiveOptions.highWatermark / 2, high: LiveOptions.highWatermark)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let hub = hubs.first(where: { $0.loop === channel.eventLoop }) else { return }
                    let decoder = ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes))
                    try channel.pipeline.syncOperations.addHandlers(
                        decoder, RequestHandler(hub: hub, decoder: decoder))
                }
            }
            .withBoundSocket(socket).wait()
    }

    private static func listenForWakeUps(
        _ socket: Int32, _ group: MultiThreadedEventLoopGroup, _ hubs: [LiveHub]
    ) throws -> any Channel {
        try ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(WakeHandler(hubs: hubs))
                }
            }
            .withBoundSocket(socket).wait()
    }
}
