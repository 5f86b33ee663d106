import StreamProtocol
import Testing

/// PROTOCOL section 7.2.
@Suite struct ProducerVerdictTests {
    static let largest = NumberGrammar.maximum

    @Test(
        arguments: [
            (nil, 0, 0, ProducerVerdict.accept), (nil, 9, 0, .accept), (nil, largest, 0, .accept),
            (nil, 0, 1, .gap(expected: 0)), (nil, 3, largest, .gap(expected: 0)),
            (ProducerState(epoch: 2, sequence: 5), 1, 0, .stale(epoch: 2)),
            (ProducerState(epoch: 2, sequence: 5), 1, 6, .stale(epoch: 2)),
            (ProducerState(epoch: 2, sequence: 5), 0, 99, .stale(epoch: 2)),
            (ProducerState(epoch: 2, sequence: 5), 3, 0, .accept),
            (ProducerState(epoch: 2, sequence: 5), 99, 0, .accept),
            (ProducerState(epoch: 2, sequence: 5), 3, 1, .newEpochNotAtZero),
            (ProducerState(epoch: 2, sequence: 5), 3, 6, .newEpochNotAtZero),
            (ProducerState(epoch: 2, sequence: 5), 2, 0, .duplicate(highest: 5)),
            (ProducerState(epoch: 2, sequence: 5), 2, 4, .duplicate(highest: 5)),
            (ProducerState(epoch: 2, sequence: 5), 2, 5, .duplicate(highest: 5)),
            (ProducerState(epoch: 2, sequence: 5), 2, 6, .accept),
            (ProducerState(epoch: 2, sequence: 5), 2, 7, .gap(expected: 6)),
            (ProducerState(epoch: 2, sequence: 5), 2, largest, .gap(expected: 6)),
            (ProducerState(epoch: 0, sequence: largest - 1), 0, largest, .accept),
            (ProducerState(epoch: 0, sequence: largest), 0, largest, .duplicate(highest: largest)),
        ] as [(ProducerState?, Int64, Int64, ProducerVerdict)])
    func table(stored: ProducerState?, epoch: Int64, sequence: Int64, verdict: ProducerVerdict) {
        let tuple = ProducerTuple(id: "p", epoch: epoch, sequence: sequence)
        #expect(ProducerVerdict(stored: stored, request: tuple) == verdict)
    }
}

/// PROTOCOL section 3.2 rows 9 to 16, and 3.2.1.
@Suite struct AppendVerdictTests {
    static let text = MediaType(contentType: "text/plain")
    static let tuple = ProducerTuple(id: "p", epoch: 1, sequence: 4)

    static func data(
        type: String = "text/plain", closes: Bool = false, producer: ProducerTuple? = nil,
        sequence: String? = nil
    ) -> AppendConditions {
        AppendConditions(
            hasBody: true, closes: closes, mediaType: MediaType(contentType: type), producer: producer,
            streamSequence: sequence)
    }

    static func close(producer: ProducerTuple? = nil, sequence: String? = nil) -> AppendConditions {
        AppendConditions(
            hasBody: false, closes: true, mediaType: nil, producer: producer, streamSequence: sequence)
    }

    static func open(producer: ProducerState? = nil, last: String? = nil) -> AppendTarget {
        AppendTarget(
            mediaType: text, closed: false, closedBy: nil, producerState: producer, lastSequence: last)
    }

    static func closed(by: ProducerTuple? = nil, producer: ProducerState? = nil) -> AppendTarget {
        AppendTarget(mediaType: text, closed: true, closedBy: by, producerState: producer, lastSequence: "m")
    }

    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let request: AppendConditions
        let target: AppendTarget
        let verdict: AppendVerdict

        init(_ name: String, _ request: AppendConditions, _ target: AppendTarget, _ verdict: AppendVerdict) {
            testDescription = name
            self.request = request
            self.target = target
            self.verdict = verdict
        }
    }

    static let state = ProducerState(epoch: 1, sequence: 4)
    static let next = ProducerTuple(id: "p", epoch: 1, sequence: 5)
    static let stale = ProducerTuple(id: "p", epoch: 0, sequence: 0)
    static let skipping = ProducerTuple(id: "p", epoch: 1, sequence: 6)
    static let badEpoch = ProducerTuple(id: "p", epoch: 2, sequence: 1)

    static let appendRows = [
        Row("9: the closing tuple again", data(producer: tuple), closed(by: tuple), .closedByThis),
        Row("9 before 11", data(type: "a/b", producer: tuple), closed(by: tuple), .closedByThis),
        Row("9 before 16", data(producer: tuple, sequence: "a"), closed(by: tuple), .closedByThis),
        Row("10: plain", data(), closed(), .conflictClosed),
        Row("10: plain, closing", data(closes: true), closed(), .conflictClosed),
        Row(
            "10: another id", data(producer: ProducerTuple(id: "q", epoch: 1, sequence: 4)),
            closed(by: tuple),
            .conflictClosed),
        Row(
            "10: another epoch", data(producer: ProducerTuple(id: "p", epoch: 2, sequence: 4)),
            closed(by: tuple),
            .conflictClosed),
        Row(
            "10: another sequence", data(producer: ProducerTuple(id: "p", epoch: 1, sequence: 3)),
            closed(by: tuple),
            .conflictClosed),
        Row("10: closed by nobody", data(producer: tuple), closed(), .conflictClosed),
        Row("10 before 11", data(type: "a/b"), closed(), .conflictClosed),
        Row("10 before 12", data(producer: stale), closed(by: tuple, producer: state), .conflictClosed),
        Row("10 before 14", data(producer: tuple), closed(producer: state), .conflictClosed),
        Row("11: media type", data(type: "text/html"), open(), .conflictMediaType),
        Row("11: malformed", data(type: "text"), open(), .conflictMediaType),
        Row("11: parameters don't count", data(type: "Text/Plain;charset=x"), open(), .accept),
        Row("11 before 12", data(type: "a/b", producer: stale), open(producer: state), .conflictMediaType),
        Row("12: stale", data(producer: stale), open(producer: state), .producer(.stale(epoch: 1))),
        Row(
            "12 before 16", data(producer: stale, sequence: "a"), open(producer: state, last: "b"),
            .producer(.stale(epoch: 1))),
        Row("13: new epoch", data(producer: badEpoch), open(producer: state), .producer(.newEpochNotAtZero)),
        Row("14: duplicate", data(producer: tuple), open(producer: state), .producer(.duplicate(highest: 4))),
        Row(
            "14: duplicate that closes", data(closes: true, producer: tuple), open(producer: state),
            .producer(.duplicate(highest: 4))),
        Row(
            "14 before 16", data(producer: tuple, sequence: "b"), open(producer: state, last: "b"),
            .producer(.duplicate(highest: 4))),
        Row("15: gap", data(producer: skipping), open(producer: state), .producer(.gap(expected: 5))),
        Row("15: unknown producer", data(producer: tuple), open(), .producer(.gap(expected: 0))),
        Row(
            "15 before 16", data(producer: skipping, sequence: "a"), open(producer: state, last: "b"),
            .producer(.gap(expected: 5))),
        Row("16: equal", data(sequence: "b"), open(last: "b"), .conflictSequence),
        Row(
            "16: next in line, but sequence", data(producer: next, sequence: "b"),
            open(producer: state, last: "b"),
            .conflictSequence),
        Row("19: plain", data(), open(last: "b"), .accept),
        Row("19: closing", data(closes: true), open(), .accept),
        Row("19: first sequence", data(sequence: "0"), open(), .accept),
        Row("19: producer", data(producer: next), open(producer: state), .accept),
    ]

    static let closeRows = [
        Row("1: open", close(), open(), .accept),
        Row("1: closed", close(), closed(by: tuple), .closedAlready),
        Row("2: the closing tuple", close(producer: tuple), closed(by: tuple), .closedByThis),
        Row("3: another", close(producer: next), closed(by: tuple), .conflictClosed),
        Row("3: closed by nobody", close(producer: tuple), closed(), .conflictClosed),
        Row("4: stale", close(producer: stale), open(producer: state), .producer(.stale(epoch: 1))),
        Row("5: new epoch", close(producer: badEpoch), open(producer: state), .producer(.newEpochNotAtZero)),
        Row("6: duplicate", close(producer: tuple), open(producer: state), .producer(.duplicate(highest: 4))),
        Row("7: gap", close(producer: skipping), open(producer: state), .producer(.gap(expected: 5))),
        Row("8: next", close(producer: next), open(producer: state), .accept),
        Row("Stream-Seq doesn't count", close(sequence: "a"), open(last: "b"), .accept),
    ]

    @Test(arguments: appendRows)
    func append(row: Row) { #expect(AppendVerdict(row.request, on: row.target) == row.verdict) }

    @Test(arguments: closeRows)
    func closeOnly(row: Row) { #expect(AppendVerdict(row.request, on: row.target) == row.verdict) }

    @Test(
        arguments: [
            ("10", "2"), ("09", "10"), ("B", "a"), ("a", "a0"), ("a", "b"), ("Z", "a"), ("a\u{7F}", "aé"),
            ("e\u{301}", "é"), ("\u{FFFF}", "\u{10000}"),
        ] as [(String, String)])
    func sequencesCompareByBytes(smaller: String, larger: String) {
        let up = AppendVerdict(Self.data(sequence: larger), on: Self.open(last: smaller))
        let down = AppendVerdict(Self.data(sequence: smaller), on: Self.open(last: larger))
        #expect(up == .accept)
        #expect(down == .conflictSequence)
    }
}
