import StreamStore
import Testing
import WakeChannel

@Suite struct WakeMessageTests {
    /// All parts, their payloads, and how many bytes they were.
    private func parts(_ bytes: [UInt8]) throws(WakeMessage.Malformed) -> ([WakeMessage.Part], [[UInt8]], Int)
    {
        var parts: [WakeMessage.Part] = []
        var payloads: [[UInt8]] = []
        var place = 0
        var failure: WakeMessage.Malformed?
        bytes.withUnsafeBytes { raw in
            do throws(WakeMessage.Malformed) {
                while let part = try WakeMessage.next(in: raw, at: &place) {
                    parts.append(part)
                    if case .appended(_, _, _, let payload) = part { payloads.append(Array(raw[payload])) }
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return (parts, payloads, place)
    }

    private func encode(_ changes: [StreamChange], appends: Bool = true) -> [UInt8] {
        var bytes: [UInt8] = []
        WakeMessage.write(changes, appends: appends, to: &bytes)
        return bytes
    }

    private static func append(_ id: Int64, from start: Int64 = 5, _ payload: [UInt8]) -> StreamChange {
        StreamChange(
            id: id, appended: Appended(start: start, end: start + Int64(payload.count), payload: payload))
    }

    @Test func numbersAreLittleEndian() throws {
        var bytes: [UInt8] = []
        WakeMessage.write(committed: 2, to: &bytes)
        #expect(bytes == [254] + Array(repeating: 255, count: 7))
        bytes += encode([StreamChange(id: 1), StreamChange(id: 0x0102_0304_0506_0708)])
        #expect(bytes[8...] == [1, 0, 0, 0, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1])
        WakeMessage.write(WakeMessage.greeting, to: &bytes)
        WakeMessage.write(WakeMessage.offer, to: &bytes)
        let found = try parts(bytes)
        #expect(
            found.0 == [.committed(2), .changed(1), .changed(0x0102_0304_0506_0708), .greeting, .offer])
        #expect(found.2 == bytes.count)
    }

    @Test func whatWasAppendedComesWhole() throws {
        for length in Array(1...17) + [255, 256, Appended.limit] {
            let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 * 7 + 1) }
            let bytes = encode([Self.append(9, payload), StreamChange(id: 3)])
            #expect(bytes.count % WakeMessage.size == 0)
            let found = try parts(bytes)
            #expect(found.1 == [payload])
            #expect(found.0.last == .changed(3) && found.2 == bytes.count)
            guard case .appended(9, 5, let end, _) = found.0[0] else {
                Issue.record("\(found.0)")
                return
            }
            #expect(end == 5 + Int64(length))
        }
    }

    /// A message may come in pieces: no part is taken before all of it is there.
    @Test func aMessageCutShortIsWaitedFor() throws {
        var bytes = encode([
            StreamChange(id: 4), Self.append(9, Array("some bytes".utf8)), StreamChange(id: 3),
        ])
        bytes += encode([Self.append(7, [1])])
        let whole = try parts(bytes)
        #expect(whole.0.count == 4)
        for length in 0..<bytes.count {
            let first = try parts(Array(bytes[..<length]))
            #expect(first.2 <= length && first.0 == Array(whole.0.prefix(first.0.count)))
            let rest = try parts(Array(bytes[first.2...]))
            #expect(first.0.count + rest.0.count == 4 && first.1 + rest.1 == whole.1)
        }
    }

    @Test func whatNobodyCanHaveMeantIsRefused() throws {
        let good = encode([Self.append(9, [1, 2, 3])])
        func with(_ number: Int64, at index: Int) -> [UInt8] {
            var bytes = good
            withUnsafeBytes(of: number.littleEndian) {
                bytes.replaceSubrange(index * 8..<index * 8 + 8, with: $0)
            }
            return bytes
        }
        #expect(try parts(good).0.count == 1)
        let bad = [
            with(.min + Int64(Appended.limit) + 1, at: 0), with(.min / 2 - 1, at: 0),
            with(0, at: 1), with(-1, at: 1), with(WakeMessage.offer, at: 1),
            with(-1, at: 2), with(.min, at: 2), with(5, at: 3), with(0, at: 3), with(.min, at: 3),
        ]
        for bytes in bad {
            #expect(throws: WakeMessage.Malformed.self) { try self.parts(bytes) }
            // Ahead of it too, and before its payload is there.
            #expect(throws: WakeMessage.Malformed.self) {
                try self.parts(self.encode([StreamChange(id: 1)]) + bytes[..<32])
            }
        }
    }

    @Test func muchIsNotTold() throws {
        let large = [UInt8](repeating: 1, count: Appended.limit)
        func told(_ changes: [StreamChange], appends: Bool = true) throws -> [Bool] {
            try parts(encode(changes, appends: appends)).0.map { part in
                if case .appended = part { true } else { false }
            }
        }
        #expect(try told([Self.append(1, large)]) == [true])
        #expect(try told([Self.append(1, large)], appends: false) == [false])
        #expect(try told([Self.append(1, large + [1])]) == [false])
        #expect(
            try told([Self.append(1, [1]), Self.append(2, large), Self.append(3, [1])]) == [
                true, false, true,
            ])
        #expect(try told((1...8).map { Self.append($0, [1]) }) == Array(repeating: true, count: 8))
        #expect(try told((1...9).map { Self.append($0, [1]) }) == Array(repeating: false, count: 9))
    }
}
