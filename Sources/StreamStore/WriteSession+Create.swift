import StreamProtocol

extension WriteSession {
    /// Creates a stream (PROTOCOL section 3.1, rows 9 to 18).
    public func create(_ request: CreateRequest) throws(StoreError) -> CreateOutcome {
        if let fork = request.fork, fork.mustBePublic, try !isPublic(fork.source, now: request.now) {
            return .sourceForbidden
        }
        switch try find(request.name, now: request.now) {
        case .gone: return .gone
        case .present(let head):
            return head.state.matches(request) ? .matches(head.state, tail: head.tail) : .conflict
        case .absent: break
        }
        guard let fork = request.fork else { return try insert(request, Origin(request)) }
        // Looking at the source and taking the reference is one transaction.
        switch try resolve(fork, request) {
        case .refused(let outcome): return outcome
        case .found(let origin):
            TestPoint.forkResolved.reached()
            return try insert(request, origin)
        }
    }

    private func isPublic(_ name: StreamName?, now: Int64) throws(StoreError) -> Bool {
        guard let name, case .present(let head) = try find(name, now: now) else { return false }
        return head.state.isPublic
    }

    /// What a new stream begins with.
    private struct Origin {
        var contentType: String
        var lifetime: Lifetime
        var lifetimeIsInherited = false
        var incarnation: Int64?
        var position: Int64 = 0
        var earliest: Int64 = 0
        var link: ForkLink?
        var lineage: Lineage?

        init(_ request: CreateRequest) {
            contentType = request.contentType ?? MediaType.defaultContentType
            lifetime = request.lifetime
        }
    }

    private enum Resolution {
        case refused(CreateOutcome)
        case found(Origin)
    }

    /// Rows 12 to 16, and what the fork inherits (PROTOCOL sections 11.2 and 11.3).
    private func resolve(_ fork: ForkRequest, _ request: CreateRequest) throws(StoreError) -> Resolution {
        guard let sourceName = fork.source else { return .refused(.sourceAbsent) }
        let head: StreamHead
        switch try find(sourceName, now: request.now) {
        case .absent: return .refused(.sourceAbsent)
        case .gone: return .refused(.sourceGone)
        case .present(let found): head = found
        }
        let source = head.state
        if let contentType = request.contentType, MediaType(contentType: contentType) != source.mediaType {
            return .refused(.sourceMediaType)
        }
        let offset = fork.offset ?? source.offset(head.tail)
        guard offset.position <= head.tail,
            offset.incarnation == 0 || offset.incarnation == source.incarnation
        else {
            return .refused(.forkOffset)
        }
        // All zeros name the start, before which nothing is kept any more.
        let anchor = offset.isZero ? source.earliest : offset.position
        guard anchor >= source.earliest else {
            return .refused(.forkOffsetGone(earliest: source.offset(source.earliest)))
        }
        let inherited = try lineage(of: source)
        try index.refresh()
        let position = anchor + fork.subOffset
        if fork.subOffset > 0 {
            let furthest = try furthest(from: anchor, in: source, inherited, tail: head.tail)
            guard position <= furthest else { return .refused(.forkSubOffset) }
        }

        var origin = Origin(request)
        origin.contentType = request.contentType ?? source.contentType
        if origin.lifetime == .unlimited, source.lifetime != .unlimited {
            origin.lifetime = source.lifetime
            origin.lifetimeIsInherited = true
        }
        origin.incarnation = source.incarnation
        origin.position = position
        origin.earliest = source.earliest
        origin.link = ForkLink(
            source: source.id, sourceName: sourceName.text, offset: offset.text, subOffset: fork.subOffset)
        origin.lineage = Lineage(
            of: inherited, source: source.id, base: source.basePosition, forkedAt: position)
        return .found(origin)
    }

    /// How far a sub-offset may lead: in a byte stream to the end of the append that holds the first byte
    /// after the anchor, in a JSON stream, where every message is a boundary, to the tail.
    private func furthest(
        from anchor: Int64, in source: StreamState, _ inherited: Lineage, tail: Int64
    ) throws(StoreError) -> Int64 {
        guard anchor < tail else { return anchor }
        if source.mediaType.isJSON { return tail }
        var holder = Lineage.Part(stream: source.id, end: tail)
        if anchor < source.basePosition {
            holder = inherited.parts[inherited.firstPart(behind: anchor)]
        }
        if let segment = try segments.segment(of: holder.stream, at: anchor) {
            let ends = try segments.ends(of: segment)
            let append = ends.first(above: Int(anchor - segment.start))
            return min(segment.start + Int64(ends.offsets[append]), holder.end)
        }
        var end = anchor
        try index.records(of: holder.stream, from: anchor) { record in
            end = min(record.int(0) + record.int(1), holder.end)
            return false
        }
        return end
    }

    private func lineage(of state: StreamState) throws(StoreError) -> Lineage {
        statements.lineage.bind(1, state.id)
        guard try statements.lineage.step() else { return Lineage() }
        defer { statements.lineage.reset() }
        return Lineage(bytes: statements.lineage.blob(0))
    }

    private func insert(_ request: CreateRequest, _ origin: Origin) throws(StoreError) -> CreateOutcome {
        var body = request.body
        if case .undecided(let bytes) = body {
            body =
                MediaType(contentType: origin.contentType).isJSON
                ? .json(JSONMessages(body: bytes)) : .bytes(bytes)
        }
        if case .json(nil) = body { return .invalidJSON }
        if let quota = request.quota {
            guard try allows(quota, request.name, body, now: request.now, isNew: true) else {
                return .overQuota
            }
        }
        guard takesRoom(for: body) else { return .full }
        let deadline = origin.lifetime.deadline(touchedAt: request.now)
        let insert = statements.insertStream
        insert.bind(1, request.name.text)
        insert.bind(2, origin.contentType)
        insert.bind(3, request.now)
        insert.bind(4, request.closed ? 1 : 0)
        insert.bind(5, origin.lifetime.seconds)
        insert.bind(6, origin.lifetime.instant)
        insert.bind(7, origin.lifetime.text)
        insert.bind(8, deadline)
        insert.bind(9, origin.lifetimeIsInherited ? 1 : 0)
        insert.bind(10, origin.position)
        insert.bind(11, origin.link?.source)
        insert.bind(12, origin.link?.sourceName)
        insert.bind(13, origin.link?.offset)
        insert.bind(14, origin.link?.subOffset)
        insert.bind(16, origin.earliest)
        insert.bind(17, request.retention.age)
        insert.bind(18, request.retention.bytes)
        insert.bind(19, request.retention.messages)
        insert.bind(21, request.isPublic ? 1 : 0)
        insert.bind(
            20, request.retention.limits(beside: request.retentionDefaults).interval.map { request.now + $0 })
        try insert.withBlob(15, origin.lineage?.bytes ?? []) { () throws(StoreError) in try insert.run() }
        let id = connection.lastInsertedRow
        let incarnation = origin.incarnation ?? id
        statements.setIncarnation.bind(1, id)
        statements.setIncarnation.bind(2, incarnation)
        try statements.setIncarnation.run()

        var state = StreamState(
            id: id, incarnation: incarnation, name: request.name, contentType: origin.contentType,
            closed: request.closed, lifetime: origin.lifetime, deadline: deadline)
        state.basePosition = origin.position
        state.earliest = origin.earliest
        state.retention = request.retention
        state.isPublic = request.isPublic
        state.createdAt = request.now
        state.fork = origin.link
        state.lifetimeIsInherited = origin.lifetimeIsInherited
        if let link = origin.link {
            TestPoint.forkInserted.reached()
            try countForks(of: link.source, by: 1)
            heads[StreamName(text: link.sourceName)]?.state.forks += 1
            TestPoint.forkCounted.reached()
        }
        let head = StreamHead(state: state, tail: origin.position)
        heads.insert(head)
        try insertRecord(body, head, now: request.now)
        if request.closed { try queueRotation(of: id) }
        tally.created += 1
        return .created(state, tail: head.tail)
    }
}

extension StreamState {
    /// Whether a repeated creation asks for what exists (PROTOCOL section 3.1, the table below row 18).
    fileprivate func matches(_ request: CreateRequest) -> Bool {
        guard closed == request.closed, retention == request.retention, isPublic == request.isPublic,
            fork?.sourceName == request.fork.map({ $0.source?.text ?? "" })
        else { return false }
        if let fork, let asked = request.fork {
            if let offset = asked.offset, offset.text != fork.offset { return false }
            if asked.subOffset != fork.subOffset { return false }
        }
        let asked = request.contentType ?? (fork == nil ? MediaType.defaultContentType : contentType)
        guard mediaType == MediaType(contentType: asked) else { return false }
        return lifetime.matches(request.lifetime) || (lifetimeIsInherited && request.lifetime == .unlimited)
    }
}

extension Lifetime {
    /// Whether a repeated creation asks for the same: windows by number, instants by time, however
    /// written (PROTOCOL section 3.1).
    fileprivate func matches(_ other: Lifetime) -> Bool {
        switch (self, other) {
        case (.until(let left, _), .until(let right, _)): left == right
        default: self == other
        }
    }

    fileprivate var seconds: Int64? {
        if case .window(let seconds) = self { seconds } else { nil }
    }

    fileprivate var instant: Int64? {
        if case .until(let milliseconds, _) = self { milliseconds } else { nil }
    }

    fileprivate var text: String? {
        if case .until(_, let text) = self { text } else { nil }
    }
}
