import Logging
import NIOCore
import NIOPosix
import StreamService
import StreamStore

/// Threads that read from the store, each with a connection of its own, so that a slow disk delays no
/// event loop.
///
/// `@unchecked Sendable`: each thread sees only its own reader.
final class ReaderPool: @unchecked Sendable {
    private let threads: NIOThreadPool
    private let files: StoreFiles
    private let log: Logger
    private let readers = ThreadSpecificVariable<StoreReader>()

    init(threads count: Int, files: StoreFiles, log: Logger) {
        threads = NIOThreadPool(numberOfThreads: count)
        threads.start()
        self.files = files
        self.log = log
    }

    func run<T: Sendable>(
        on loop: any EventLoop, _ body: @escaping @Sendable (StoreReader) -> T
    ) -> EventLoopFuture<T> {
        threads.runIfActive(eventLoop: loop) { [self] in
            if let reader = readers.currentValue { return body(reader) }
            do {
                let reader = try StoreReader(files)
                readers.currentValue = reader
                return body(reader)
            } catch {
                log.error("\(error)")
                throw error
            }
        }
    }

    func stop() throws { try threads.syncShutdownGracefully() }
}
