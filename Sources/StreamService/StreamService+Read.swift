import StreamProtocol
import StreamStore

extension StreamService {
    /// GET without `live` (PROTOCOL section 3.4).
    func catchUp(
        _ request: ServiceRequest, _ name: StreamName, _ reader: StoreReader
    ) throws(ServiceError) -> ServiceResponse {
        let query = ReadQuery(request.target)
        if query.mode.isLive {
            // nginx sends live reads to the live process by itself; a `live` that it could not read,
            // percent-encoded for instance, comes here first.
            var response = ServiceResponse(status: 200)
            let ordinary: StaticString =
                query.mode == .serverSentEvents ? "@durable_streams_sse" : "@durable_streams_poll"
            response.add(
                "X-Accel-Redirect",
                fixed: request.isAdministrators ? "@durable_streams_admin_live" : ordinary)
            return response
        }
        let now = options.clock()
        if let response = recalled(query.offset, request, name, reader, now) { return response }
        var offsetError: ServiceError?
        let piece = try reading { () throws(StoreError) in
            try reader.read(
                name, now: now, limit: options.readChunk, takesFiles: request.takesFiles
            ) { state, tail in
                guard let offset = query.offset else {
                    offsetError = .offsetInvalid
                    return nil
                }
                do throws(ServiceError) {
                    return try ReadAnswers.position(offset, in: state)
                } catch {
                    offsetError = error
                    return nil
                }
            }
        }
        request.trace?.mark(.read)
        if let offsetError { throw offsetError }
        touch(piece.state, now: now)
        guard let offset = query.offset, offset != .now else { return ReadAnswers.tail(piece) }
        return ReadAnswers.piece(piece, conditions(of: request, piece.state, offset.token), now: now)
    }

    private func conditions(
        of request: ServiceRequest, _ state: StreamState, _ start: Offset?
    ) -> ReadAnswers.Conditions {
        ReadAnswers.Conditions(
            start: start,
            // When nginx asks whether its copy still holds, only that question counts; it compares the
            // client's own tags itself.
            ifNoneMatch: request.cacheEntityTag ?? request.headers[.ifNoneMatch],
            variant: options.access.originGeneration(of: state),
            isPrivate: isPrivate(state, request),
            // Where access is guarded, nginx asks before it serves a copy.
            mayBeStored: request.mayBeStored && options.hasRoomForCopies()
                && (options.access.mode != .none || request.headers[.authorization] == nil),
            cursor: nil)
    }

    /// The usual case: somebody asks for what was read before. Nil for all others.
    private func recalled(
        _ offset: RequestedOffset?, _ request: ServiceRequest, _ name: StreamName, _ reader: StoreReader,
        _ now: Int64
    ) -> ServiceResponse? {
        guard case .token(let token) = offset,
            let known = reader.recall(name, now: now, limit: options.readChunk, from: token.position),
            token.incarnation == known.piece.state.incarnation, token.position >= known.piece.state.earliest
        else { return nil }
        request.trace?.mark(.read)
        touch(known.piece.state, now: now)
        return ReadAnswers.piece(known, conditions(of: request, known.piece.state, token), now: now)
    }

    /// HEAD (PROTOCOL section 3.7).
    func head(_ name: StreamName, _ reader: StoreReader) throws(ServiceError) -> ServiceResponse {
        let (state, tail) = try reading { () throws(StoreError) in
            try reader.find(name, now: options.clock())
        }
        var response = ServiceResponse(status: 200)
        response.add(HeaderName.proxyExpires, fixed: "0")
        response.add(HeaderName.contentType, state.contentType)
        response.add(HeaderName.streamNextOffset, state.offset(tail))
        if state.closed { response.add(HeaderName.streamClosed, fixed: "true") }
        switch state.lifetime {
        case .unlimited: break
        case .window(let seconds): response.add(HeaderName.streamTTL, String(seconds))
        case .until(_, let text): response.add(HeaderName.streamExpiresAt, text)
        }
        StreamService.show(state, beside: options.retention, in: &response)
        showAccess(to: state, in: &response)
        response.add(HeaderName.cacheControl, fixed: "no-store")
        response.sendsLength = false
        return response
    }
}

extension RequestedOffset {
    /// The token for entity tags; nil for the start of a stream, however it was spelled.
    var token: Offset? {
        if case .token(let offset) = self { offset } else { nil }
    }
}
