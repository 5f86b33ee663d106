import StreamAccess
import StreamProtocol
import StreamStore

extension StreamService {
    /// PUT (PROTOCOL section 3.1).
    func create(
        _ request: ServiceRequest, _ name: StreamName, _ respond: Reply, _ grant: AccessControl.Grant
    ) throws(ServiceError) {
        let headers = request.headers
        guard let isPublic = CreationQuery.isPublic(request.target.query) else { throw .publicInvalid }
        let lifetime = try StreamService.lifetime(headers)
        var fork = try StreamService.fork(headers)
        if let source = fork?.source, !grant.covers(reading: source) {
            // A fork holds the name and the bytes of its source: none of another project's.
            guard source.project == name.project else { throw .forbidden }
            fork?.mustBePublic = true
        }
        let retention = try StreamService.retention(headers)
        let quota = options.access.registry?.quota(of: name.project)
        try checkBody(request, quota)
        var contentType = headers[.contentType].flatMap { MediaType(contentType: $0).isWellFormed ? $0 : nil }
        let body: PreparedBody
        if fork != nil, contentType == nil, !request.body.isEmpty {
            body = .undecided(request.body)
        } else {
            if fork == nil { contentType = contentType ?? MediaType.defaultContentType }
            body = StreamService.prepare(request.body, MediaType(contentType: contentType ?? ""))
        }
        let create = CreateRequest(
            name: name, contentType: contentType, lifetime: lifetime,
            closed: headers[.streamClosed].map { NumberGrammar.isTrue($0) } ?? false, body: body,
            now: options.clock(), fork: fork, retention: retention, retentionDefaults: options.retention,
            isPublic: isPublic, quota: quota)
        let location = origin(of: request) + request.target.path
        TestPoint.createSubmitted.reached()
        committer.submit(weight: request.body.count, completeOn: respond.completions) {
            (session) throws(StoreError) in
            try session.create(create)
        } complete: { result in
            TestPoint.createCommitted.reached()
            self.finish(result, respond) { (outcome) throws(ServiceError) in
                switch outcome {
                case .created(let state, let tail):
                    return self.describe(state, tail: tail, status: 201, location: location)
                case .matches(let state, let tail):
                    return self.describe(state, tail: tail, status: 200, location: nil)
                case .conflict: throw .streamExists
                case .gone: throw .nameHeld
                case .invalidJSON: throw .jsonInvalid
                case .full: throw .storageFull
                case .overQuota: throw .quotaExceeded
                case .sourceForbidden: throw .forbidden
                case .sourceAbsent: throw .noSource
                case .sourceGone: throw .sourceGone
                case .sourceMediaType: throw .sourceMediaType
                case .forkOffset: throw .forkOffsetBeyond
                case .forkOffsetGone(let earliest): throw .offsetCut(earliest)
                case .forkSubOffset: throw .forkSubOffsetBeyond
                }
            }
        }
    }

    /// Rows 4 to 7.
    private static func fork(_ headers: RequestHeaders) throws(ServiceError) -> ForkRequest? {
        let source = headers.nonEmpty(.streamForkedFrom)
        if source == nil,
            headers[.streamForkSubOffset] != nil || headers.nonEmpty(.streamForkOffset) != nil
        {
            throw .forkHeaderAlone
        }
        var offset: Offset?
        if let text = headers.nonEmpty(.streamForkOffset) {
            offset = Offset(Array(text.utf8))
            if offset == nil { throw .forkOffsetInvalid }
        }
        var subOffset: Int64 = 0
        if let text = headers[.streamForkSubOffset] {
            guard let value = NumberGrammar.canonicalUnbounded(text) else { throw .forkSubOffsetInvalid }
            subOffset = value
        }
        guard let source else { return nil }
        switch RequestTarget.route(path: source) {
        case .stream(let name): return ForkRequest(source: name, offset: offset, subOffset: subOffset)
        case .unsafe: throw .badPath
        default: return ForkRequest(source: nil, offset: offset, subOffset: subOffset)
        }
    }

    /// DELETE (PROTOCOL section 3.7).
    func delete(_ name: StreamName, _ respond: Reply) {
        let now = options.clock()
        committer.submit(completeOn: respond.completions) { (session) throws(StoreError) in
            try session.delete(name, now: now)
        } complete: { result in
            TestPoint.deleteCommitted.reached()
            self.finish(result, respond) { (outcome) throws(ServiceError) in
                switch outcome {
                case .deleted: return ServiceResponse(status: 204)
                case .absent: throw .noStream
                case .gone: throw .streamGone
                }
            }
        }
    }

    /// The checks that every request with a body passes (PROTOCOL section 13.3).
    func checkBody(_ request: ServiceRequest, _ quota: ProjectQuota?) throws(ServiceError) {
        if request.body.count > options.maximumBody { throw .bodyTooLarge }
        if let limit = quota?.body, request.body.count > limit { throw .bodyTooLarge }
        if let encoding = request.headers.nonEmpty(.contentEncoding), encoding.lowercased() != "identity" {
            throw .contentEncoding
        }
    }

    /// Checks a body's JSON before the one thread that commits gets it.
    static func prepare(_ body: [UInt8], _ mediaType: MediaType) -> PreparedBody {
        if body.isEmpty { return .none }
        return mediaType.isJSON ? .json(JSONMessages(body: body)) : .bytes(body)
    }

    private static func lifetime(_ headers: RequestHeaders) throws(ServiceError) -> Lifetime {
        let window = headers.nonEmpty(.streamTTL)
        let instant = headers.nonEmpty(.streamExpiresAt)
        if window != nil, instant != nil { throw .lifetimeTwice }
        if let window {
            guard let seconds = NumberGrammar.canonical(window) else { throw .ttlInvalid }
            return .window(seconds: seconds)
        }
        if let instant {
            guard let timestamp = Timestamp(instant) else { throw .expiresAtInvalid }
            return .until(milliseconds: timestamp.milliseconds, text: instant)
        }
        return .unlimited
    }

    private func describe(
        _ state: StreamState, tail: Int64, status: Int, location: String?
    ) -> ServiceResponse {
        var response = ServiceResponse(status: status)
        if let location { response.add(HeaderName.location, location) }
        response.add(HeaderName.contentType, state.contentType)
        response.add(HeaderName.streamNextOffset, state.offset(tail))
        if state.closed { response.add(HeaderName.streamClosed, fixed: "true") }
        showAccess(to: state, in: &response)
        return response
    }

    private func origin(of request: ServiceRequest) -> String {
        if let publicURL = options.publicURL { return publicURL }
        return "\(request.scheme)://\(request.headers.nonEmpty(.host) ?? "localhost")"
    }
}
