import StreamProtocol
import StreamStore

extension StreamService {
    /// Longest `Producer-Id` and `Stream-Seq` in bytes (PROTOCOL section 13.3); transports give each byte
    /// that is not ASCII as a character of its own.
    private static let maximumProducerID = 256
    private static let maximumSequence = 1_024

    /// POST (PROTOCOL section 3.2).
    func append(
        _ request: ServiceRequest, _ name: StreamName, _ reader: StoreReader, _ respond: Reply
    ) throws(ServiceError) {
        let conditions: AppendConditions
        let quota = options.access.registry?.quota(of: name.project)
        do throws(ServiceError) {
            conditions = try appendConditions(request, quota)
        } catch {
            // Rows 1 and 2 come before the headers: an unknown stream is 404 whatever they say.
            let now = options.clock()
            _ = try reading { () throws(StoreError) in try reader.find(name, now: now) }
            throw error
        }
        let body: PreparedBody
        if let mediaType = conditions.mediaType {
            body = StreamService.prepare(request.body, mediaType)
        } else {
            body = .none
        }
        let append = AppendRequest(
            name: name, conditions: conditions, body: body, now: options.clock(), quota: quota,
            bytes: request.body.count)
        committer.append(append, completeOn: respond.completions) { result in
            self.finish(result, respond) { (outcome) throws(ServiceError) in
                switch outcome {
                case .absent: throw .noStream
                case .gone: throw .streamGone
                case .invalidJSON: throw .jsonInvalid
                case .emptyArray: throw .jsonEmpty
                case .full: throw .storageFull
                case .overQuota: throw .quotaExceeded
                case .accepted(let tail, let closed):
                    let producer = append.conditions.producer
                    return StreamService.appended(
                        status: producer == nil || !append.conditions.hasBody ? 204 : 200, tail: tail,
                        closed: closed, producer)
                case .judged(let verdict, let tail):
                    return try StreamService.judged(verdict, tail: tail, append.conditions.producer)
                }
            }
        }
    }

    /// Rows 3 to 8.
    private func appendConditions(
        _ request: ServiceRequest, _ quota: ProjectQuota?
    ) throws(ServiceError) -> AppendConditions {
        let headers = request.headers
        let producer = try StreamService.producer(headers)
        try checkBody(request, quota)
        let closes = headers[.streamClosed].map { NumberGrammar.isTrue($0) } ?? false
        if request.body.isEmpty {
            guard closes else { throw .bodyEmpty }
            return AppendConditions(
                hasBody: false, closes: true, mediaType: nil, producer: producer, streamSequence: nil)
        }
        guard let contentType = headers.nonEmpty(.contentType) else { throw .contentTypeMissing }
        let sequence = headers.nonEmpty(.streamSequence)
        if let sequence, sequence.unicodeScalars.count > StreamService.maximumSequence {
            throw .sequenceTooLong
        }
        return AppendConditions(
            hasBody: true, closes: closes, mediaType: MediaType(contentType: contentType), producer: producer,
            streamSequence: sequence)
    }

    private static func producer(_ headers: RequestHeaders) throws(ServiceError) -> ProducerTuple? {
        let values = [headers[.producerID], headers[.producerEpoch], headers[.producerSequence]]
        if values.allSatisfy({ $0 == nil }) { return nil }
        guard let id = values[0], let epochText = values[1], let sequenceText = values[2],
            !id.isEmpty, !epochText.isEmpty, !sequenceText.isEmpty
        else { throw .producerIncomplete }
        guard id.unicodeScalars.count <= maximumProducerID else { throw .producerIDTooLong }
        guard let epoch = NumberGrammar.digits(epochText), let sequence = NumberGrammar.digits(sequenceText)
        else { throw .producerNumber }
        return ProducerTuple(id: id, epoch: epoch, sequence: sequence)
    }

    private static func appended(
        status: Int, tail: Offset, closed: Bool, _ producer: ProducerTuple?
    ) -> ServiceResponse {
        var response = ServiceResponse(status: status)
        response.add(HeaderName.streamNextOffset, tail)
        if closed { response.add(HeaderName.streamClosed, fixed: "true") }
        if let producer {
            response.add(HeaderName.producerEpoch, String(producer.epoch))
            response.add(HeaderName.producerSequence, String(producer.sequence))
        }
        return response
    }

    private static func judged(
        _ verdict: AppendVerdict, tail: Offset, _ producer: ProducerTuple?
    ) throws(ServiceError) -> ServiceResponse {
        switch verdict {
        case .accept, .closedAlready:
            return appended(status: 204, tail: tail, closed: true, nil)
        case .closedByThis:
            return appended(status: 204, tail: tail, closed: true, producer)
        case .conflictClosed:
            var response = ServiceResponse(.streamClosed)
            response.add(HeaderName.streamClosed, fixed: "true")
            response.add(HeaderName.streamNextOffset, tail)
            return response
        case .conflictMediaType: throw .contentTypeMismatch
        case .conflictSequence: throw .sequenceConflict
        case .producer(let verdict): return try judged(verdict, tail: tail, producer)
        }
    }

    private static func judged(
        _ verdict: ProducerVerdict, tail: Offset, _ producer: ProducerTuple?
    ) throws(ServiceError) -> ServiceResponse {
        switch verdict {
        case .accept, .newEpochNotAtZero: throw .producerNewEpoch
        case .duplicate(let highest):
            let tuple = producer.map { ProducerTuple(id: $0.id, epoch: $0.epoch, sequence: highest) }
            return appended(status: 204, tail: tail, closed: false, tuple)
        case .stale(let epoch):
            var response = ServiceResponse(.producerStale)
            response.add(HeaderName.producerEpoch, String(epoch))
            return response
        case .gap(let expected):
            var response = ServiceResponse(.producerGap)
            response.add(HeaderName.producerExpected, String(expected))
            response.add(HeaderName.producerReceived, String(producer?.sequence ?? 0))
            return response
        }
    }
}
