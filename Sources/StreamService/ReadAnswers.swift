import StreamProtocol
import StreamStore

/// What reads answer, in any mode (PROTOCOL sections 3.3 to 3.5, 9).
enum ReadAnswers {
    /// The part of a read request that shapes the answer.
    struct Conditions: Sendable {
        /// The token asked for; nil for the start of the stream.
        var start: Offset?
        /// Whether the answer has an entity tag: `now` names no range that could be asked for again.
        var isTagged = true
        /// Entity tags that the client holds.
        var ifNoneMatch: String?
        /// Part of the entity tag.
        var variant = ""
        /// Whether the answer is for this reader only.
        var isPrivate: Bool
        /// Whether nginx may keep the answer.
        var mayBeStored = true
        /// The cursor to answer, in long-poll only.
        var cursor: Int64?

        /// Whether the answers are the same, but for the tags that the client holds.
        func isSameAnswer(as other: Conditions) -> Bool {
            start == other.start && isTagged == other.isTagged && variant == other.variant
                && isPrivate == other.isPrivate && mayBeStored == other.mayBeStored && cursor == other.cursor
        }
    }

    /// The position that an offset asks for.
    ///
    /// - Returns: nil for `now`.
    static func position(
        _ offset: RequestedOffset, in state: StreamState
    ) throws(ServiceError) -> Int64? {
        switch offset {
        case .now: return nil
        case .start: return state.earliest
        case .token(let token):
            guard token.incarnation == 0 || token.incarnation == state.incarnation else { throw .offsetGone }
            guard token.position >= state.earliest else {
                throw .offsetCut(state.offset(state.earliest))
            }
            return token.position
        }
    }

    /// Where the stream is cut, if that is asked for: the start of one that is no longer kept whole means other content with
    /// each cut.
    private static func cut(of state: StreamState, _ conditions: Conditions) -> Offset? {
        conditions.start == nil && state.earliest > 0 ? state.offset(state.earliest) : nil
    }

    private static func tag(of piece: StreamPiece, _ conditions: Conditions) -> [UInt8] {
        EntityTag.text(
            instance: piece.state.instance, variant: conditions.variant,
            start: conditions.start ?? cut(of: piece.state, conditions), end: piece.state.offset(piece.end),
            reachesClosedTail: piece.reachesClosedTail)
    }

    /// 200 with a piece, or 304.
    static func piece(_ piece: StreamPiece, _ conditions: Conditions, now: Int64) -> ServiceResponse {
        let state = piece.state
        let next = state.offset(piece.end)
        let cut = cut(of: state, conditions)
        let tag = tag(of: piece, conditions)
        let notModified =
            conditions.isTagged
            && conditions.ifNoneMatch.map { EntityTag.matches(ifNoneMatch: $0, tag: tag) } ?? false
        let policy = CachePolicy(state: state, isPrivate: conditions.isPrivate, now: now)
        var response = ServiceResponse(status: notModified ? 304 : 200)
        if conditions.cursor == nil {
            let isStored =
                conditions.mayBeStored
                && policy.isStorable(from: conditions.start, reachesTail: piece.reachesTail)
            response.add(HeaderName.proxyExpires, fixed: isStored ? "1" : "0")
        }
        if !notModified { response.add(HeaderName.contentType, state.contentType) }
        response.add(HeaderName.streamNextOffset, next)
        if piece.reachesTail { response.add(HeaderName.streamUpToDate, fixed: "true") }
        if piece.reachesClosedTail { response.add(HeaderName.streamClosed, fixed: "true") }
        if let cursor = conditions.cursor { response.add(HeaderName.streamCursor, String(cursor)) }
        if conditions.isTagged {
            response.add(HeaderName.entityTag, tag)
            if let cut {
                response.add(HeaderName.streamEarliestOffset, cut)
                response.exposed.insert(.retention)
            }
        }
        // Asked for again, `now` means something else.
        let keepable = conditions.isTagged && (!piece.isEmpty || piece.reachesClosedTail)
        if keepable {
            policy.write(to: &response)
        } else {
            response.add(HeaderName.cacheControl, fixed: "no-store")
        }
        guard !notModified else { return response }
        if let file = piece.file {
            // nginx sends the file, with the headers of this answer (nginx/durable-streams-server.conf).
            response.add(HeaderName.proxyRedirect, "/.durable-streams-segments/\(file)")
            response.fileBytes = Int(piece.fileBytes)
        }
        response.body = piece.content
        return response
    }

    /// The answers to those who ask for one piece under the same conditions but for the tags that they hold, each made when it
    /// is due for the first time.
    private final class Prepared {
        let conditions: Conditions
        let tag: [UInt8]
        private var whole: ServiceResponse?
        private var notModified: ServiceResponse?

        init(_ piece: StreamPiece, _ conditions: Conditions) {
            self.conditions = conditions
            tag = ReadAnswers.tag(of: piece, conditions)
        }

        func answer(_ piece: StreamPiece, isKnown: Bool, now: Int64) -> ServiceResponse {
            if let made = isKnown ? notModified : whole { return made }
            var conditions = conditions
            conditions.ifNoneMatch = isKnown ? "*" : nil
            let made = ReadAnswers.piece(piece, conditions, now: now)
            if isKnown { notModified = made } else { whole = made }
            return made
        }
    }

    /// The same of a remembered piece: its answers are made once, unless they say how long the stream still lives.
    static func piece(_ known: RememberedPiece, _ conditions: Conditions, now: Int64) -> ServiceResponse {
        guard known.piece.state.lifetime == .unlimited else {
            return piece(known.piece, conditions, now: now)
        }
        let prepared: Prepared
        if let made = known.product as? Prepared, made.conditions.isSameAnswer(as: conditions) {
            prepared = made
        } else {
            prepared = Prepared(known.piece, conditions)
            known.product = prepared
        }
        let isKnown =
            conditions.ifNoneMatch.map { EntityTag.matches(ifNoneMatch: $0, tag: prepared.tag) } ?? false
        return prepared.answer(known.piece, isKnown: isKnown, now: now)
    }

    /// 200 for `offset=now`: the tail, without content.
    static func tail(_ piece: StreamPiece) -> ServiceResponse {
        var response = ServiceResponse(status: 200)
        response.add(HeaderName.proxyExpires, fixed: "0")
        response.add(HeaderName.contentType, piece.state.contentType)
        response.add(HeaderName.streamNextOffset, piece.state.offset(piece.tail))
        response.add(HeaderName.streamUpToDate, fixed: "true")
        if piece.state.closed { response.add(HeaderName.streamClosed, fixed: "true") }
        response.add(HeaderName.cacheControl, fixed: "no-store")
        response.body = piece.content
        return response
    }

    /// 204 of a long-poll at the tail.
    ///
    /// - Parameter cursor: nil when the stream is closed.
    static func nothing(at tail: Offset, cursor: Int64?) -> ServiceResponse {
        var response = ServiceResponse(status: 204)
        response.add(HeaderName.streamNextOffset, tail)
        response.add(HeaderName.streamUpToDate, fixed: "true")
        if let cursor {
            response.add(HeaderName.streamCursor, String(cursor))
        } else {
            response.add(HeaderName.streamClosed, fixed: "true")
        }
        response.add(HeaderName.cacheControl, fixed: "no-store")
        return response
    }
}
