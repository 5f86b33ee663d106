import StreamProtocol
import StreamStore
import TestStore
import Testing

/// Reads of any position, before and after the records were entered into the index.
@Suite struct PieceTests {
    enum Indexed: CaseIterable { case notAtAll, partly, wholly }

    private static func extendIndex(_ store: TestStore, limit: Int) throws -> Int {
        try store.committer.perform { (session) throws(StoreError) in try session.extendIndex(limit: limit) }
    }

    private static func make(
        _ type: String, _ bodies: [String], _ indexed: Indexed
    ) throws -> (TestStore, StoreReader) {
        let store = try TestStore()
        try store.create(.make("s", type: type))
        try store.create(.make("other", type: type))
        for (number, body) in bodies.enumerated() {
            try store.append(.make("s", body, type: type))
            try store.append(.make("other", type == "text/plain" ? "?" : "\"?\"", type: type))
            if indexed == .partly, number == bodies.count / 2 {
                #expect(try extendIndex(store, limit: 2) == 2)
            }
        }
        // A reader of a third kind has seen the records before they move.
        let reader = try store.reader()
        if indexed == .wholly {
            _ = try reader.piece("s")
            #expect(try extendIndex(store, limit: bodies.count * 2) == bodies.count * 2)
        }
        return (store, reader)
    }

    @Test(arguments: Indexed.allCases, [1, 2, 3, 5, 7, 100])
    func everyPositionOfAByteStream(indexed: Indexed, limit: Int) throws {
        let bodies = ["abc", "d", "efghijklm", "no", "p", "qrstuvwxyz"]
        let all = Array(bodies.joined().utf8)
        let (_, reader) = try Self.make("text/plain", bodies, indexed)
        for position in 0...all.count {
            let piece = try #require(try reader.piece("s", from: Int64(position), limit: limit))
            #expect(piece.start == Int64(position))
            #expect(piece.tail == Int64(all.count))
            #expect(piece.content == Array(all[position..<Int(piece.end)]))
            #expect(piece.content.count <= limit)
            #expect(piece.isEmpty == (position == all.count))
            #expect(piece.reachesTail == (piece.end == piece.tail))
            #expect(
                try reader.everything("s", from: Int64(position), limit: limit) == Array(all[position...]))
        }
    }

    @Test(arguments: Indexed.allCases, [1, 4, 8, 11, 100])
    func everyPositionOfAJSONStream(indexed: Indexed, limit: Int) throws {
        let bodies = [
            "[1,22,333]", "\"four\"", "[{\"five\":5},[6],\"seven, [eight]\"]", "9", "[10,11,12,13,14]",
            "[[]]",
        ]
        let all =
            ["1", "22", "333", "\"four\"", "{\"five\":5}", "[6]", "\"seven, [eight]\"", "9"] + [
                "10", "11", "12", "13", "14", "[]",
            ]
        let (_, reader) = try Self.make("application/json", bodies, indexed)
        for position in 0...all.count {
            let piece = try #require(try reader.piece("s", from: Int64(position), limit: limit))
            #expect(piece.start == Int64(position))
            #expect(piece.tail == Int64(all.count))
            let taken = all[position..<Int(piece.end)].joined(separator: ",")
            #expect(text(piece.content) == "[\(taken)]")
            #expect(piece.isEmpty == (position == all.count))
            // One message goes out whatever its size; more only within the limit.
            if piece.end - piece.start > 1 { #expect(taken.utf8.count <= limit) }
            let rest = all[position...].joined(separator: ",")
            #expect(text(try reader.everything("s", from: Int64(position), limit: limit)) == rest)
        }
    }

    @Test(arguments: Indexed.allCases)
    func piecesBeforeTheTailNeverChange(indexed: Indexed) throws {
        let bodies = (0..<12).map { String(repeating: "\($0 % 10)", count: 1 + $0 * 7 % 11) }
        let (store, reader) = try Self.make("text/plain", bodies, indexed)
        var before: [Int64: (Int64, [UInt8])] = [:]
        for position in 0..<Int64(bodies.joined().utf8.count) {
            let piece = try #require(try reader.piece("s", from: position, limit: 10))
            if !piece.reachesTail { before[position] = (piece.end, piece.content) }
        }
        #expect(before.count > 40)
        for number in 0..<5 { try store.append(.make("s", "more\(number)")) }
        _ = try Self.extendIndex(store, limit: 3)
        let later = try store.reader()
        for (position, (end, content)) in before {
            for reader in [reader, later] {
                let piece = try #require(try reader.piece("s", from: position, limit: 10))
                #expect(piece.end == end)
                #expect(piece.content == content)
            }
        }
    }

    @Test(arguments: ["text/plain", "application/json"])
    func positionsBeyondTheTailCountAsTheTail(type: String) throws {
        let (store, reader) = try Self.make(type, ["12"], .notAtAll)
        let tail: Int64 = type == "text/plain" ? 2 : 1
        for position in [tail, tail + 1, 1_000, Offset.maximum] {
            let piece = try #require(try reader.piece("s", from: position))
            #expect(piece.start == tail)
            #expect(piece.end == tail)
            #expect(piece.isEmpty && piece.reachesTail)
            #expect(text(piece.content) == (type == "text/plain" ? "" : "[]"))
        }
        try store.append(.make("s", closes: true))
        #expect(try reader.piece("s", from: 1_000)?.reachesClosedTail == true)
        #expect(try reader.piece("s", from: 0, limit: 1 << 20)?.reachesClosedTail == true)
    }

    @Test func aStartOfNilReadsNothing() throws {
        let (_, reader) = try Self.make("text/plain", ["abc"], .notAtAll)
        guard case .present(let piece) = try reader.read(.named("s"), now: 0, limit: 9, from: { _, _ in nil })
        else {
            throw Unexpected("absent")
        }
        #expect(piece.start == 3 && piece.end == 3 && piece.content.isEmpty)
    }

    @Test func aReaderByIDSeesOneStreamOnly() throws {
        let store = try TestStore()
        let first = try #require(try store.create(.make("s", body: "old")).created)
        let reader = try store.reader()
        try store.delete("s")
        let second = try #require(try store.create(.make("s", body: "new!")).created)
        #expect(second.id > first.id)
        #expect(second.incarnation > first.incarnation)
        guard case .absent = try reader.read(id: first.id, now: 0, from: 0, limit: 9) else {
            throw Unexpected("the old stream is still there")
        }
        guard case .present(let piece) = try reader.read(id: second.id, now: 0, from: 1, limit: 9) else {
            throw Unexpected("the new stream is missing")
        }
        #expect(text(piece.content) == "ew!")
    }

    /// A megabyte in one record, cut in the middle: bytes anywhere, messages between them.
    @Test func largeRecords() throws {
        let store = try TestStore()
        let bytes = String(repeating: "0123456789abcdef", count: 70_000)
        try store.create(.make("b", body: bytes))
        let messages = (0..<50_000).map { "{\"n\":\($0)}" }
        let json = "application/json"
        try store.create(.make("j", type: json, body: "[\(messages.joined(separator: " , "))]"))
        let reader = try store.reader()
        #expect(try reader.piece("b", limit: 65_536)?.content.count == 65_536)
        #expect(text(try reader.everything("b", from: 5, limit: 65_536)) == String(bytes.dropFirst(5)))
        #expect(text(try reader.everything("j", limit: 65_536)) == messages.joined(separator: ","))
        let last = try #require(try reader.piece("j", from: 49_999))
        #expect(text(last.content) == "[{\"n\":49999}]")
    }
}
