import StreamProtocol
import StreamService
import StreamStore

/// One stream.
extension AdminInterface {
    /// - Parameter path: as in the URL of the stream.
    func describeStream(_ project: String, _ path: String) throws(AdminError) -> ServiceResponse {
        let name: StreamName
        switch RequestTarget.route(path: "/v1/\(project)/stream/\(path)") {
        case .stream(let found): name = found
        case .unsafe:
            throw AdminError(400, "PATH_INVALID", "the path holds an empty, dot or otherwise unsafe segment")
        default: throw .notFound
        }
        let inspection = try inspection()
        let now = options.clock()
        let found = try store { () throws(StoreError) in try inspection.look(at: name, now: now) }
        switch found {
        case .absent: throw .streamNotFound
        case .gone: throw .streamGone
        case .present(let details): return AdminAnswer.document(describe(details))
        }
    }

    private func describe(_ details: StreamDetails) -> JSON {
        let state = details.state
        let isCounted = details.segmentCount < StreamInspection.countLimit
        return .object([
            ("project", .string(state.name.project)), ("path", .string(state.name.path)),
            ("content_type", .string(state.contentType)),
            ("state", .string(state.closed ? "closed" : "open")),
            ("public", .bool(state.isPublic)), ("created_at", .integer(state.createdAt)),
            ("last_write_at", .optional(details.lastWriteAt)),
            ("tail", .string(state.offset(details.tail).text)),
            ("earliest", .string(state.offset(state.earliest).text)),
            ("messages", .optional(messages(details, isCounted))),
            ("bytes", .optional(bytes(details, isCounted))),
            (
                "hot",
                .object([("messages", .integer(details.hotMessages)), ("bytes", .integer(details.hotBytes))])
            ),
            (
                "cold",
                .object([
                    ("bytes", .integer(details.coldBytes)),
                    (
                        "segments",
                        .array(
                            details.segments.map {
                                .object([
                                    ("start", .integer($0.start)), ("end", .integer($0.end)),
                                    ("bytes", .integer($0.bytes)),
                                ])
                            })
                    ), ("segment_count", .integer(details.segmentCount)),
                ])
            ),
            (
                "producers",
                .array(
                    details.producers.map {
                        .object([
                            ("id", .string($0.id)), ("epoch", .integer($0.epoch)),
                            ("sequence", .integer($0.sequence)), ("used_at", .integer($0.usedAt)),
                        ])
                    })
            ), ("producer_count", .integer(details.producerCount)), ("live_readers", .null),
            ("source", AdminInterface.describe(state.fork)), ("forks", .integer(state.forks)),
            ("ttl_seconds", .optional(AdminInterface.window(state.lifetime))),
            ("expires_at", .optional(state.deadline)), ("retention", describe(state.retention)),
        ])
    }

    /// What can be read. Positions of JSON streams count messages; a byte stream's appends are counted one by one, and what it
    /// has from its source is not.
    private func messages(_ details: StreamDetails, _ isCounted: Bool) -> Int64? {
        if details.state.mediaType.isJSON { return details.tail - details.state.earliest }
        guard isCounted, details.state.fork == nil else { return nil }
        return details.hotMessages + details.coldMessages
    }

    private func bytes(_ details: StreamDetails, _ isCounted: Bool) -> Int64? {
        if !details.state.mediaType.isJSON { return details.tail - details.state.earliest }
        guard isCounted, details.state.fork == nil else { return nil }
        return details.hotBytes + details.coldBytes
    }

    private static func describe(_ fork: ForkLink?) -> JSON {
        guard let fork else { return .null }
        let source = StreamName(text: fork.sourceName)
        return .object([
            ("project", .string(source.project)), ("path", .string(source.path)),
            ("offset", .string(fork.offset)), ("sub_offset", .integer(fork.subOffset)),
        ])
    }

    private static func window(_ lifetime: Lifetime) -> Int64? {
        guard case .window(let seconds) = lifetime else { return nil }
        return seconds
    }

    /// The limits that hold, the server's among them.
    private func describe(_ own: Retention) -> JSON {
        let limits = own.limits(beside: options.retention)
        return .object([
            ("age", .optional(limits.age)), ("bytes", .optional(limits.bytes)),
            ("messages", .optional(limits.messages)),
        ])
    }
}
