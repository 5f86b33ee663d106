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
    ///   - watch: looks at how long requests took.
    public init(
        liveSocket: Int32, wakeSocket: String, loops: Int, reads: LiveReads, files: StoreFiles,
        interest: LiveInterest,
        options: LiveOptions, telemetry: Telemetry, watch: RequestWatch, log: Logger
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
                    interest: interest, telemetry: telemetry, watch: watch))
        }
        for hub in hubs { hub.start() }
        self.hubs = hubs
        // The workers' socket comes last: who can reach it knows that the live process is ready.
        let requests = try LiveServer.listenForRequests(liveSocket, group, hubs)
        // Put in place of an older one in one step: workers always find a socket, and from now on this one.
        // Its name is no longer than the other: socket addresses are short.
        let newSocket = "\(wakeSocket.dropLast(4))new"
        listeners = [requests, try LiveServer.listenForWakeUps(newSocket, group, hubs)]
        guard chmod(newSocket, 0o600) == 0, rename(newSocket, wakeSocket) == 0 else {
            throw IOError(errnoCode: errno, reason: "rename \(newSocket)")
        }
    }

    /// Longest time that nginx keeps a connection open that it does not use (nginx/durable-streams-http.conf), with some
    /// more for late timers.
    private static let keptTime = TimeAmount.seconds(15)

    /// Takes no new connections, has readers reconnect one after the other over a time, and returns when all
    /// connections are closed. By then another process serves the same socket.
    public func drain(over spread: TimeAmount) throws {
        for listener in listeners { try? listener.close().wait() }
        let gone = hubs.map { hub in
            let promise = hub.loop.makePromise(of: Void.self)
            hub.loop.execute { hub.leave(over: spread, whenGone: promise) }
            hub.loop.scheduleTask(in: spread + LiveServer.keptTime) { promise.succeed() }
            return promise.futureResult
        }
        for hub in gone { try hub.wait() }
    }

    /// Lets `drain` return; from any thread.
    public func endDraining() {
        for hub in hubs { hub.loop.execute { hub.leaving?.whenGone.succeed() } }
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
            // Each connection keeps its buffer, and the head of a request that nginx sends rarely needs more.
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 512, maximum: 16_384)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let hub = hubs.first(where: { $0.loop === channel.eventLoop }) else { return }
                    hub.opened(channel)
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
                    hubs.first { $0.loop === channel.eventLoop }?.openedWake(channel)
                    try channel.pipeline.syncOperations.addHandler(WakeHandler(hubs: hubs))
                }
            }
            .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).wait()
    }
}
