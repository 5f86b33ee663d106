import Glibc
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import StreamProtocol
import StreamService
import StreamStore
import Telemetry
import WakeChannel

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

    /// Connections that may wait to be accepted.
    private static let backlog: Int32 = 4_096

    /// Starts to serve.
    ///
    /// - Parameters:
    ///   - liveSocket: descriptor of the listening socket for nginx.
    ///   - wakeSocket: path of the socket for the workers; an older file there is replaced.
    public init(
        liveSocket: Int32, wakeSocket: String, loops: Int, reads: LiveReads, files: StoreFiles,
        interest: LiveInterest,
        options: LiveOptions, telemetry: Telemetry, log: Logger
    ) throws {
        group = MultiThreadedEventLoopGroup(numberOfThreads: loops)
        let pool = ReaderPool(threads: LiveServer.readerThreads, files: files, log: log)
        self.pool = pool
        interest.reset()
        var hubs: [LiveHub] = []
        for loop in group.makeIterator() {
            hubs.append(
                LiveHub(
                    loop: loop, reads: reads, options: options, pool: pool, reader: try StoreReader(files),
                    interest: interest, telemetry: telemetry))
        }
        for hub in hubs { hub.start() }
        self.hubs = hubs
        // The workers' socket comes last: who can reach it knows that the live process is ready.
        let requests = try LiveServer.listenForRequests(liveSocket, group, hubs)
        listeners = [requests, try LiveServer.listenForWakeUps(wakeSocket, group, hubs)]
        chmod(wakeSocket, 0o600)
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
        let channel =
            try ServerBootstrap(group: group)
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
        // SwiftNIO has listened anew with a queue of 128. nginx gets an error at once, not a wait, when the queue
        // of a Unix socket is full.
        listen(socket, LiveServer.backlog)
        return channel
    }

    private static func listenForWakeUps(
        _ path: String, _ group: MultiThreadedEventLoopGroup, _ hubs: [LiveHub]
    ) throws -> any Channel {
        try ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(WakeHandler(hubs: hubs))
                }
            }
            .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).wait()
    }
}
