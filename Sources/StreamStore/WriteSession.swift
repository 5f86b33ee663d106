import CSQLite
import StreamProtocol

/// Applies writes inside the transaction of a group; only the thread that commits uses it.
public final class WriteSession {
    let connection: SQLiteConnection
    var heads = HeadCache()
    /// Streams that the open transaction has changed, for the wake-up behind its commit.
    var changed: [StreamChange] = []
    /// The same for the readers of this process.
    private(set) var notes: CommitNotes
    /// What the open transaction has done.
    var tally = WriteTally()
    let statements: WriteStatements
    let index: RecordIndex
    let segments: SegmentIndex
    let recentWrites: RecentWrites
    let space: DiskSpace?
    let hotLog: String
    /// What is being removed; its steps are taken in transactions of their own.
    var purgeRound: PurgeRound?
    /// The same at the beginning of the open transaction.
    private var purgeRoundBefore: PurgeRound?
    /// Bytes that content of the open transaction may still take; below 0: not even an empty stream.
    var room = Int64.max
    private var dataVersion: Int64 = -1

    init(_ files: StoreFiles, _ space: DiskSpace? = nil) throws(StoreError) {
        self.space = space
        hotLog = files.hotLog
        connection = try Schema.openForWriting(files)
        statements = try WriteStatements(connection)
        index = try RecordIndex(connection)
        segments = try SegmentIndex(connection)
        recentWrites = try RecentWrites(connection)
        notes = CommitNotes(index: ds_sqlite3_wal_index(connection.handle))
    }

    // MARK: Transactions

    func begin() throws(StoreError) {
        // First of all: a transaction that can't even begin is rolled back too.
        purgeRoundBefore = purgeRound
        changed.removeAll(keepingCapacity: true)
        tally = WriteTally()
        try statements.begin.run()
        notes.begin()
        try lookAtSpace()
        // Another connection has committed since: what is remembered may be old
        // (https://sqlite.org/pragma.html#pragma_data_version).
        guard try statements.dataVersion.step() else { return }
        let version = statements.dataVersion.int(0)
        statements.dataVersion.reset()
        if version != dataVersion { heads.removeAll() }
        dataVersion = version
    }

    func commit() throws(StoreError) {
        try statements.commit.run()
        notes.end()
    }

    /// Lets go of what was appended, so that whoever submitted it frees its memory.
    func forgetChanges() { changed.removeAll(keepingCapacity: true) }

    func rollback() {
        connection.rollback()
        heads.removeAll()
        index.reset()
        recentWrites.reset()
        purgeRound = purgeRoundBefore
        changed.removeAll(keepingCapacity: true)
    }

    // MARK: Operations

    /// Appends, closes, or both (PROTOCOL section 3.2, rows 1, 2 and 9 to 19).
    public func append(_ request: AppendRequest) throws(StoreError) -> AppendOutcome {
        let head: StreamHead
        switch try find(request.name, now: request.now) {
        case .absent: return .absent
        case .gone: return .gone
        case .present(let found): head = found
        }
        let verdict = AppendVerdict(request.conditions, on: try target(of: head, for: request))
        guard verdict == .accept else {
            if verdict.touches { try touch(head, now: request.now) }
            return .judged(verdict, tail: head.state.offset(head.tail))
        }
        if case .json(let messages) = request.body {
            guard let messages else { return .invalidJSON }
            if messages.count == 0 { return .emptyArray }
        }
        if let quota = request.quota, request.conditions.hasBody,
            try !allows(quota, request.name, request.body, now: request.now, isNew: false)
        {
            return .overQuota
        }
        if request.conditions.hasBody, !takesRoom(for: request.body) { return .full }
        try insertRecord(request.body, head, now: request.now)
        if let producer = request.conditions.producer {
            try remember(producer, head, now: request.now)
        }
        if request.conditions.hasBody, let sequence = request.conditions.streamSequence {
            head.state.lastSequence = sequence
            statements.setLastSequence.bind(1, head.state.id)
            statements.setLastSequence.bind(2, sequence)
            try statements.setLastSequence.run()
        }
        if request.conditions.closes { try close(head, by: request.conditions.producer) }
        try touch(head, now: request.now)
        return .accepted(tail: head.state.offset(head.tail), closed: head.state.closed)
    }

    /// Removes a stream; its records go later, in small steps (PROTOCOL section 3.7).
    public func delete(_ name: StreamName, now: Int64) throws(StoreError) -> DeleteOutcome {
        switch try find(name, now: now) {
        case .absent: return .absent
        case .gone: return .gone
        case .present(let head):
            try end(head.state, now: now)
            tally.deleted += 1
            return .deleted
        }
    }

    /// Ends a stream: it is removed, or, while forks need its data, soft-deleted (PROTOCOL section 11.6).
    func end(_ state: StreamState, now: Int64) throws(StoreError) {
        notes.changesMore = true
        guard state.forks > 0 else { return try remove(state, now: now) }
        statements.softDelete.bind(1, state.id)
        try statements.softDelete.run()
        if let source = state.fork?.source { try lookAgain(from: source, now: now) }
        TestPoint.deleteSoft.reached()
        heads.remove(state.name)
        changed.append(StreamChange(id: state.id))
    }

    /// Removes a stream if it has expired, as whoever looks at it does (PROTOCOL section 8.3).
    public func expire(_ name: StreamName, now: Int64) throws(StoreError) { _ = try find(name, now: now) }

    /// Restarts the window of a stream with a TTL, if it still exists (PROTOCOL section 8.2).
    public func touch(id: Int64, name: StreamName, now: Int64) throws(StoreError) {
        guard case .present(let head) = try find(name, now: now), head.state.id == id else { return }
        try touch(head, now: now)
    }

    // MARK: Steps

    func find(_ name: StreamName, now: Int64) throws(StoreError) -> Presence<StreamHead> {
        let head: StreamHead
        if let known = heads[name] {
            head = known
        } else {
            let find = statements.findStream
            find.bind(1, name.text)
            guard try find.step() else { return .absent }
            let state = StreamState(row: find)
            find.reset()
            head = StreamHead(state: state, tail: try tail(of: state))
            heads.insert(head)
        }
        if head.state.softDeleted { return .gone }
        if head.state.isExpired(at: now) {
            try end(head.state, now: now)
            tally.expired += 1
            return head.state.forks > 0 ? .gone : .absent
        }
        return .present(head)
    }

    /// The position after everything that a stream has, hot or cold, of its own or inherited.
    func tail(of state: StreamState) throws(StoreError) -> Int64 {
        try index.refresh()
        if let hot = try index.tail(of: state.id) { return hot }
        return try coldEnd(of: state)
    }

    private func target(of head: StreamHead, for request: AppendRequest) throws(StoreError) -> AppendTarget {
        var producerState: ProducerState?
        if let producer = request.conditions.producer, !head.state.closed {
            producerState = try head.producer(producer.id) { () throws(StoreError) in
                let find = self.statements.findProducer
                find.bind(1, head.state.id)
                find.bind(2, producer.id)
                guard try find.step() else { return nil }
                defer { find.reset() }
                return ProducerState(epoch: find.int(0), sequence: find.int(1))
            }
        }
        return AppendTarget(
            mediaType: head.state.mediaType, closed: head.state.closed, closedBy: head.state.closedBy,
            producerState: producerState, lastSequence: head.state.lastSequence)
    }

    func insertRecord(_ body: PreparedBody, _ head: StreamHead, now: Int64) throws(StoreError) {
        let payload: [UInt8]
        var boundaries: [UInt8]?
        let units: Int64
        switch body {
        case .none, .json(nil), .undecided: return
        case .bytes(let bytes):
            payload = bytes
            units = Int64(bytes.count)
        case .json(.some(let messages)):
            payload = messages.payload
            units = Int64(messages.count)
            if messages.count > 1 { boundaries = encodeBoundaries(messages.ends) }
        }
        noteAppend(of: payload, units: units, head)
        guard units > 0 else { return }
        let insert = statements.insertRecord
        insert.bind(1, head.state.id)
        insert.bind(2, head.tail)
        insert.bind(3, units)
        insert.bind(6, now)
        try insert.withBlob(5, payload) { () throws(StoreError) in
            if let boundaries {
                try insert.withBlob(4, boundaries) { () throws(StoreError) in try insert.run() }
            } else {
                insert.bind(4, Int64?.none)
                try insert.run()
            }
        }
        let messages = boundaries == nil ? 1 : Int(units)
        index.note(
            connection.lastInsertedRow, of: head.state.id, at: head.tail, units: units, bytes: payload.count,
            messages: messages)
        head.tail += units
        tally.appends += 1
        tally.bytes += payload.count
        tally.messages += messages
    }

    private func encodeBoundaries(_ ends: [Int]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(ends.count * 4)
        for end in ends {
            withUnsafeBytes(of: UInt32(truncatingIfNeeded: end).littleEndian) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }

    private func remember(_ producer: ProducerTuple, _ head: StreamHead, now: Int64) throws(StoreError) {
        let insert = statements.setProducer
        insert.bind(1, head.state.id)
        insert.bind(2, producer.id)
        insert.bind(3, producer.epoch)
        insert.bind(4, producer.sequence)
        insert.bind(5, now)
        try insert.run()
        head.remember(producer.id, ProducerState(epoch: producer.epoch, sequence: producer.sequence))
    }

    private func close(_ head: StreamHead, by producer: ProducerTuple?) throws(StoreError) {
        statements.close.bind(1, head.state.id)
        statements.close.bind(2, producer?.id)
        statements.close.bind(3, producer?.epoch)
        statements.close.bind(4, producer?.sequence)
        try statements.close.run()
        try queueRotation(of: head.state.id)
        head.state.closed = true
        head.state.closedBy = producer
        noteChange(head)
    }

    private func touch(_ head: StreamHead, now: Int64) throws(StoreError) {
        guard head.state.needsTouch(at: now), let wanted = head.state.lifetime.deadline(touchedAt: now) else {
            return
        }
        let deadline = wanted + head.state.lifetime.renewalSlack
        statements.setDeadline.bind(1, head.state.id)
        statements.setDeadline.bind(2, deadline)
        try statements.setDeadline.run()
        head.state.deadline = deadline
        notes.touched.append(head.state.id)
    }

    /// Removes a stream, and with it the soft-deleted and expired ancestors that nobody else needs.
    private func remove(_ state: StreamState, now: Int64) throws(StoreError) {
        var next: StreamState? = state
        while let state = next {
            statements.deleteStream.bind(1, state.id)
            try statements.deleteStream.run()
            try queuePurge(of: state.id, below: .max)
            recentWrites.forget(state.id)
            heads.remove(state.name)
            changed.append(StreamChange(id: state.id))
            TestPoint.cascadeRemoved.reached()
            guard let source = state.fork?.source else { return }
            next = try release(source, now: now)
            if next == nil { try lookAgain(from: source, now: now) }
        }
    }

    /// Takes back the reference of a removed fork; gives the source if that was the last thing that kept it.
    private func release(_ source: Int64, now: Int64) throws(StoreError) -> StreamState? {
        try countForks(of: source, by: -1)
        TestPoint.cascadeReleased.reached()
        statements.findStreamByID.bind(1, source)
        guard try statements.findStreamByID.step() else { return nil }
        defer { statements.findStreamByID.reset() }
        let state = StreamState(row: statements.findStreamByID)
        heads[state.name]?.state.forks = state.forks
        return state.forks == 0 && (state.softDeleted || state.isExpired(at: now)) ? state : nil
    }

    func countForks(of stream: Int64, by difference: Int64) throws(StoreError) {
        notes.changesMore = true
        statements.countForks.bind(1, stream)
        statements.countForks.bind(2, difference)
        try statements.countForks.run()
    }

    /// A change that is more than one append.
    private func noteChange(_ head: StreamHead) {
        if changed.last?.id == head.state.id {
            changed[changed.count - 1].appended = nil
        } else {
            changed.append(StreamChange(id: head.state.id))
        }
    }

    private func noteAppend(of payload: [UInt8], units: Int64, _ head: StreamHead) {
        guard units > 0, payload.count <= Appended.limit, changed.last?.id != head.state.id else {
            return noteChange(head)
        }
        changed.append(
            StreamChange(
                id: head.state.id,
                appended: Appended(start: head.tail, end: head.tail + units, payload: payload)))
    }
}

extension AppendVerdict {
    /// Whether the answer counts as a use of the stream: 2xx does, 4xx doesn't (PROTOCOL section 8.2).
    fileprivate var touches: Bool {
        switch self {
        case .accept, .closedByThis, .closedAlready, .producer(.duplicate): true
        default: false
        }
    }
}
