import StreamAccess
import StreamProtocol
import StreamStore
import Telemetry

/// Turns requests into answers: the decision tables of PROTOCOL section 3.
public final class StreamService: Sendable {
    /// What the service is told by its configuration.
    public struct Options: Sendable {
        /// Most bytes of a request body.
        public var maximumBody: Int
        /// Most bytes of content in one answer.
        public var readChunk: Int
        /// `https://host[:port]` that clients use; nil: taken from each request.
        public var publicURL: String?
        /// What is kept of streams that ask for nothing else.
        public var retention: Retention
        /// Who may do what.
        public var access: AccessControl
        /// Worker processes of the server.
        public var workers = 1
        /// Milliseconds since 1970.
        public var clock: @Sendable () -> Int64
        /// The same as nginx knows it.
        public var proxyClock: @Sendable () -> Int64
        /// Whether the processes beside this one take requests, for `/readyz`.
        public var othersAreReady: @Sendable () -> Bool
        /// Whether nginx may keep copies on the disk.
        public var hasRoomForCopies: @Sendable () -> Bool
        /// Hears of reads that failed for a reason that the operator should know.
        public var failed: @Sendable (StoreError) -> Void
        /// Hears of writes that failed, when their requests are answered.
        public var writeFailed: @Sendable (StoreError) -> Void = { _ in }
        /// Hears of requests that were refused for their tokens, and why.
        public var refused: @Sendable (String) -> Void

        /// Collects the options.
        public init(
            maximumBody: Int, readChunk: Int, publicURL: String?, retention: Retention = Retention(),
            access: AccessControl = AccessControl(), clock: @escaping @Sendable () -> Int64,
            proxyClock: (@Sendable () -> Int64)? = nil,
            othersAreReady: @escaping @Sendable () -> Bool = { true },
            hasRoomForCopies: @escaping @Sendable () -> Bool = { true },
            failed: @escaping @Sendable (StoreError) -> Void = { _ in },
            refused: @escaping @Sendable (String) -> Void = { _ in }
        ) {
            self.access = access
            self.proxyClock = proxyClock ?? clock
            self.refused = refused
            self.maximumBody = maximumBody
            self.readChunk = readChunk
            self.publicURL = publicURL
            self.retention = retention
            self.clock = clock
            self.othersAreReady = othersAreReady
            self.hasRoomForCopies = hasRoomForCopies
            self.failed = failed
        }
    }

    let options: Options
    let committer: GroupCommitter
    let verdicts: VerdictBudget

    /// Serves the streams that `committer` writes.
    public init(options: Options, committer: GroupCommitter) {
        self.options = options
        self.committer = committer
        verdicts = VerdictBudget(workers: options.workers)
    }

    /// What the writes of this process have changed, for its readers.
    public var journal: CommitJournal { committer.journal }

    /// Whether a write would be taken now. Where not, it counts as refused, and is to be rejected as ``ServiceError/busy``.
    public func takesMore() -> Bool { committer.takesMore() }

    /// Where an answer goes.
    public struct Reply: Sendable {
        let completions: (any CompletionQueue)?
        let crossOrigin: CrossOrigin?
        let trace: RequestTrace?
        let send: @Sendable (ServiceResponse) -> Void

        func callAsFunction(_ response: ServiceResponse) {
            guard crossOrigin != nil else { return send(response) }
            var response = response
            response.add(crossOrigin)
            send(response)
        }
    }

    /// Answers a request; writes are answered once they are durable.
    ///
    /// - Parameters:
    ///   - reader: of the calling thread.
    ///   - completions: brings finished writes back to where `respond` shall be called; nil: it is called on the
    ///     committing thread.
    ///   - respond: called once, at once or when a write is durable.
    public func handle(
        _ request: ServiceRequest, reader: StoreReader, completions: (any CompletionQueue)? = nil,
        respond: @escaping @Sendable (ServiceResponse) -> Void
    ) {
        RequestTrace.working(on: request.trace) { judge(request, reader, completions, respond) }
    }

    private func judge(
        _ request: ServiceRequest, _ reader: StoreReader, _ completions: (any CompletionQueue)?,
        _ respond: @escaping @Sendable (ServiceResponse) -> Void
    ) {
        // What is the administrator's no page of another site may read.
        let crossOrigin =
            request.isAdministrators
            ? nil
            : options.access.crossOrigin(
                project: request.target.route.project, origin: request.headers[.origin])
        let respond = Reply(
            completions: completions, crossOrigin: crossOrigin, trace: request.trace, send: respond)
        do throws(ServiceError) {
            if request.asksForVerdict { return respond(verdict(request, reader)) }
            if request.method == .options {
                respond(StreamService.preflight(for: request.headers))
                return
            }
            if let rejection = request.rejection { throw rejection }
            switch request.target.route {
            case .tooLong: throw ServiceError.pathTooLong
            case .unsafe: throw ServiceError.badPath
            case .control(let project):
                _ = try authorise(request, project: project, need: .token)
                throw ServiceError.noSubscription
            case .streams(let project):
                respond(
                    try list(request, project: project) { () throws(StoreError) in try reader.listing() })
            case .unknown: throw ServiceError.noRoute
            case .health, .ready:
                guard request.method == .get || request.method == .head else {
                    throw ServiceError.probeMethod
                }
                if request.target.route == .ready { ready(respond) } else { respond(StreamService.healthy) }
            case .stream(let name): try handle(request, name, reader, respond)
            }
        } catch {
            request.trace?.markFailedRead()
            guard let name = reader.takeExpired() else { return respond(ServiceResponse(error)) }
            // The stream ends before anybody hears that it is gone.
            let now = options.clock()
            committer.submit(completeOn: completions) { (session) throws(StoreError) in
                try session.expire(name, now: now)
            } complete: { _ in
                respond(ServiceResponse(error))
            }
        }
    }

    private func handle(
        _ request: ServiceRequest, _ name: StreamName, _ reader: StoreReader, _ respond: Reply
    ) throws(ServiceError) {
        switch request.method {
        case .get:
            _ = try authoriseRead(request, name, reader)
            request.trace?.mark(.judged)
            respond(try catchUp(request, name, reader))
        case .head:
            _ = try authoriseRead(request, name, reader)
            request.trace?.mark(.judged)
            let response = try head(name, reader)
            request.trace?.mark(.read)
            respond(response)
        case .put:
            let grant = try authoriseWrite(request, name)
            request.trace?.mark(.judged)
            try create(request, name, respond, grant)
        case .post:
            _ = try authoriseWrite(request, name)
            request.trace?.mark(.judged)
            try append(request, name, reader, respond)
        case .delete:
            _ = try authoriseWrite(request, name)
            request.trace?.mark(.judged)
            delete(name, respond)
        case .options, .other:
            _ = try authoriseWrite(request, name)
            throw .methodNotAllowed
        }
    }

    /// Sends what became of a write.
    func finish<Outcome>(
        _ result: Result<Outcome, StoreError>, _ respond: Reply,
        _ answer: (Outcome) throws(ServiceError) -> ServiceResponse
    ) {
        do throws(ServiceError) {
            switch result {
            case .success(let outcome): respond(try answer(outcome))
            case .failure(let error):
                RequestTrace.working(on: respond.trace) { options.writeFailed(error) }
                throw ServiceError(error)
            }
        } catch {
            respond(ServiceResponse(error))
        }
    }

    /// Runs a read of the store.
    func reading<Found>(
        _ body: () throws(StoreError) -> Presence<Found>
    ) throws(ServiceError) -> Found {
        let presence: Presence<Found>
        do throws(StoreError) {
            presence = try body()
        } catch {
            options.failed(error)
            throw ServiceError(error)
        }
        switch presence {
        case .absent: throw .noStream
        case .gone: throw .streamGone
        case .present(let found): return found
        }
    }

    /// Restarts the window of a stream that has been used, if that must be written down. Nobody waits
    /// for it.
    func touch(_ state: StreamState, now: Int64) {
        guard state.needsTouch(at: now) else { return }
        committer.submit { (session) throws(StoreError) in
            try session.touch(id: state.id, name: state.name, now: now)
        } complete: { _ in
        }
    }

    /// Removes an expired stream that a read has come across. Nobody waits for it.
    func removeExpired(_ reader: StoreReader) {
        guard let name = reader.takeExpired() else { return }
        let now = options.clock()
        committer.submit { (session) throws(StoreError) in
            try session.expire(name, now: now)
        } complete: { _ in
        }
    }

    private func ready(_ respond: Reply) {
        guard options.othersAreReady() else { return respond(ServiceResponse(.unavailable)) }
        committer.submit(completeOn: respond.completions) { (session) throws(StoreError) in
            try session.probe()
        } complete: { result in
            switch result {
            case .success: respond(StreamService.healthy)
            case .failure: respond(ServiceResponse(.notReady))
            }
        }
    }

    private static var healthy: ServiceResponse {
        var response = ServiceResponse(status: 200)
        response.add(HeaderName.contentType, fixed: "application/json")
        response.add(HeaderName.cacheControl, fixed: "no-store")
        response.body = Array(#"{"status":"ok"}"#.utf8)
        return response
    }

    private static func preflight(for headers: RequestHeaders) -> ServiceResponse {
        // The protocol's list is said to everybody; what goes beyond it, to who asks for that.
        let asked = headers[.accessControlRequestHeaders]?.lowercased().split { $0 == "," || $0 == " " } ?? []
        let asksForRetention = asked.contains { $0.hasPrefix("stream-retention-") }
        var response = ServiceResponse(status: 204)
        response.add("Access-Control-Allow-Methods", fixed: "GET, POST, PUT, DELETE, HEAD, OPTIONS")
        response.add(
            "Access-Control-Allow-Headers",
            """
            Accept, Authorization, Cache-Control, Content-Type, If-None-Match, Last-Event-ID, Stream-Seq, \
            Stream-TTL, Stream-Expires-At, Stream-Closed, Stream-Forked-From, Stream-Fork-Offset, \
            Stream-Fork-Sub-Offset, Producer-Id, Producer-Epoch, Producer-Seq
            """ + (asksForRetention ? ", \(StreamService.retentionHeaders)" : ""))
        response.add("Access-Control-Max-Age", fixed: "86400")
        return response
    }
}
