import StreamAccess
import StreamProtocol
import StreamService
import StreamStore
import Synchronization
import Telemetry

/// Serves what comes by nginx's protected location: the streams with every right, and the interface that the operator's page
/// is made from.
///
/// The interface may wait for the write lock and reads more than a stream, so it has a thread of its own, and one request
/// is served at a time.
public final class AdminService: Sendable {
    /// What the service is told by its configuration.
    public struct Options: Sendable {
        /// What nginx sends and no client can.
        public var key: AdminKey
        /// Where the store is.
        public var files: StoreFiles
        /// Of the program.
        public var version: String
        /// Who decides about streams, as the setting names it.
        public var auth: String
        /// What is kept of streams that ask for nothing else.
        public var retention: Retention
        /// Milliseconds since 1970.
        public var clock: @Sendable () -> Int64
        /// The origin that clients use; nil: that of each request.
        public var publicURL: String?
        /// Percent of the disk in use above which appends are refused.
        public var diskHighWater = 100
        /// Whether the processes beside this one take requests.
        public var isReady: @Sendable () -> Bool = { true }
        /// What was counted; nil where nothing is.
        public var snapshot: @Sendable () -> TelemetrySnapshot? = { nil }
        /// The metrics in the text of Prometheus; nil where there are none.
        public var metrics: (@Sendable () -> [UInt8]?)?
        /// File with the history of the last hour and day; empty: there is none.
        public var history = ""
        /// File with the number of nginx's master process.
        public var nginxPID: String?
        /// Hears of failures that the operator should know.
        public var failed: @Sendable (String) -> Void = { _ in }

        /// Collects the options.
        public init(
            key: AdminKey, files: StoreFiles, version: String, auth: String, retention: Retention,
            clock: @escaping @Sendable () -> Int64
        ) {
            self.key = key
            self.files = files
            self.version = version
            self.auth = auth
            self.retention = retention
            self.clock = clock
        }
    }

    private struct Queue {
        var jobs: [Job] = []
        var isStopping = false
    }

    private struct Job {
        let request: ServiceRequest
        let finish: @Sendable (ServiceResponse) -> Void
    }

    /// Most requests that may wait.
    private static let queueLimit = 256

    private let options: Options
    private let service: StreamService
    private let queue = Condition(Queue())
    private let thread: NamedThread

    /// What tells a request of the administrator's.
    public var key: AdminKey { options.key }

    /// Starts to serve.
    public init(options: Options, service: StreamService) {
        self.options = options
        self.service = service
        thread = NamedThread("admin") { [queue] in
            let interface = AdminInterface(options)
            while true {
                let job = queue.wait { queue -> Job?? in
                    if !queue.jobs.isEmpty { return .some(queue.jobs.removeFirst()) }
                    return queue.isStopping ? .some(nil) : nil
                }
                guard case .some(.some(let job)) = job else { return }
                job.finish(interface.answer(job.request))
            }
        }
    }

    /// Answers what waits, and ends.
    public func stop() {
        queue.update { queue in
            queue.isStopping = true
            return (true, ())
        }
        thread.join()
    }

    /// Answers a request that came with the key.
    ///
    /// - Parameters:
    ///   - reader: of the calling thread.
    ///   - completions: brings answers back to where `respond` shall be called.
    ///   - respond: called once.
    public func handle(
        _ request: ServiceRequest, reader: StoreReader, completions: any CompletionQueue,
        respond: @escaping @Sendable (ServiceResponse) -> Void
    ) {
        do throws(AdminError) {
            try CrossSite.check(request, publicURL: options.publicURL)
            if let own = request.withAdministratorsRights {
                guard request.method != .options else {
                    throw AdminError.methodNotAllowed("GET, HEAD, PUT, POST, DELETE")
                }
                return service.handle(own, reader: reader, completions: completions, respond: respond)
            }
            if let rejection = request.rejection { return respond(ServiceResponse(rejection)) }
            if let list = AdminInterface.listOfStreams(request) {
                return service.handle(list, reader: reader, completions: completions, respond: respond)
            }
        } catch {
            return respond(error.response)
        }
        let job = Job(request: request) { response in
            completions.post(Answer(response: response, respond: respond))
        }
        let isTaken = queue.update { queue in
            guard !queue.isStopping, queue.jobs.count < AdminService.queueLimit else { return (false, false) }
            queue.jobs.append(job)
            return (true, true)
        }
        if !isTaken { respond(ServiceResponse(.unavailable)) }
    }

    /// An answer on its way back.
    private final class Answer: Completion {
        private let response: ServiceResponse
        private let respond: @Sendable (ServiceResponse) -> Void
        var times: WriteTimes { WriteTimes() }

        init(response: ServiceResponse, respond: @escaping @Sendable (ServiceResponse) -> Void) {
            self.response = response
            self.respond = respond
        }

        func complete() { respond(response) }
    }
}
