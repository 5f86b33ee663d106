import StreamProtocol
import StreamService
import StreamStore
import TestStore
import Testing

/// PROTOCOL sections 3.5 and 9.4.
@Suite struct LongPollTests {
    private func look(_ server: Server, _ poll: LongPoll) -> Answer? {
        let seen = server.live.look(
            at: poll.state.id, from: poll.position, for: .longPoll, reader: server.reader)
        return server.live.answer(poll, seen).map(Answer.init)
    }

    private func answer(_ server: Server, _ path: String, _ headers: [String: String] = [:]) throws -> Answer
    {
        guard case .answer(let response) = try server.open(path, headers) else { throw Unexpected(path) }
        return Answer(response)
    }

    private func wait(_ server: Server, _ path: String, _ headers: [String: String] = [:]) throws -> LongPoll
    {
        guard case .poll(let poll) = try server.open(path, headers) else { throw Unexpected(path) }
        return poll
    }

    struct Unexpected: Error {
        let path: String
        init(_ path: String) { self.path = path }
    }

    @Test func rowOneDataIsThere() throws {
        let server = try Server()
        try server.put("s", "abc")
        let answer = try answer(server, "s?live=long-poll&offset=-1")
        #expect(answer.status == 200 && answer.body == "abc" && answer.next == 3)
        #expect(answer["Stream-Up-To-Date"] == "true" && answer["Stream-Cursor"] == "2196720")
        #expect(answer["ETag"] != nil)
        #expect(answer["Cache-Control"] == "public, max-age=60, stale-while-revalidate=300")
        let tag = try #require(answer["ETag"])
        let unchanged = try self.answer(server, "s?live=long-poll&offset=-1", ["If-None-Match": tag])
        #expect(unchanged.status == 304 && unchanged["Stream-Cursor"] == "2196720")
    }

    @Test func rowTwoBeyondTheTail() throws {
        let server = try Server()
        let incarnation = try #require(try server.put("s", "abc")["Stream-Next-Offset"]?.prefix(16))
        let answer = try answer(server, "s?live=long-poll&offset=\(incarnation)_0000000000000004")
        #expect(answer.status == 200 && answer.body.isEmpty && answer.next == 3)
        #expect(answer["Stream-Cursor"] != nil)
        #expect(answer["Cache-Control"] == "no-store")
    }

    @Test(arguments: ["now", "-1"])
    func rowThreeClosed(offset: String) throws {
        let server = try Server()
        try server.put("s", "", ["Stream-Closed": "true"])
        let answer = try answer(server, "s?live=long-poll&offset=\(offset)")
        #expect(answer.status == 204 && answer.next == 0 && answer.body.isEmpty)
        #expect(answer["Stream-Closed"] == "true" && answer["Stream-Up-To-Date"] == "true")
        #expect(answer["Stream-Cursor"] == nil && answer["ETag"] == nil)
        #expect(answer["Cache-Control"] == "no-store")
    }

    @Test(arguments: ["now", "-1"])
    func rowFourWaits(offset: String) throws {
        let server = try Server()
        try server.put("s")
        let poll = try wait(server, "s?live=long-poll&offset=\(offset)")
        #expect(look(server, poll) == nil)
        try server.post("s", "abc")
        let arrived = try #require(look(server, poll))
        #expect(arrived.status == 200 && arrived.body == "abc" && arrived.next == 3)
        #expect(arrived["Stream-Closed"] == nil && arrived["Stream-Cursor"] == "2196720")
        #expect((arrived["ETag"] == nil) == (offset == "now"))
    }

    /// Only who waits at a tail that was read since the last commit is judged without the disk.
    @Test func aTailThatIsKnown() throws {
        let server = try Server()
        let start = try #require(try server.put("s")["Stream-Next-Offset"])
        func isKnown(_ path: String) throws -> Bool {
            server.live.waitsAtKnownTail(try Server.request(.get, path), reader: server.reader)
        }
        let polls = ["now", "-1", start].map { "s?live=long-poll&offset=\($0)" }
        for path in polls { #expect(try !isKnown(path), "nobody has read it") }
        let poll = try wait(server, polls[0])
        for path in polls {
            #expect(try isKnown(path))
            _ = try wait(server, path)
        }
        for path in [
            "s?live=sse&offset=now", "s?live=long-poll&offset=", "s?offset=now",
            "t?live=long-poll&offset=now",
        ] {
            #expect(try !isKnown(path))
        }
        try server.post("s", "abc")
        for path in polls { #expect(try !isKnown(path), "something was committed") }
        #expect(look(server, poll)?.body == "abc")
        let next = try #require(try answer(server, polls[1])["Stream-Next-Offset"])
        #expect(try isKnown("s?live=long-poll&offset=\(next)"))
        for path in polls.dropFirst() { #expect(try !isKnown(path), "there is something to read") }
    }

    @Test func aClosingAppendArrivesAsData() throws {
        let server = try Server()
        try server.put("s")
        let poll = try wait(server, "s?live=long-poll&offset=now")
        try server.post("s", "last", ["Stream-Closed": "true"])
        let arrived = try #require(look(server, poll))
        #expect(arrived.status == 200 && arrived.body == "last" && arrived["Stream-Closed"] == "true")
    }

    @Test func closureDeletionAndTimeout() throws {
        let server = try Server()
        try server.put("s", "abc")
        let poll = try wait(server, "s?live=long-poll&offset=now&cursor=2196720")
        let timeout = Answer(server.live.timeout(poll))
        #expect(timeout.status == 204 && timeout.next == 3 && timeout["Stream-Up-To-Date"] == "true")
        #expect(try #require(timeout["Stream-Cursor"].flatMap { Int($0) }) > 2_196_720)
        #expect(timeout["Stream-Closed"] == nil && timeout["Cache-Control"] == "no-store")
        try server.send(.post, "s", ["Stream-Closed": "true"])
        let closed = try #require(look(server, poll))
        #expect(closed.status == 204 && closed.next == 3 && closed["Stream-Closed"] == "true")
        try server.send(.delete, "s")
        try server.put("s", "another")
        #expect(look(server, poll)?.status == 404, "a stream created later is another one")
    }

    @Test(
        arguments: [
            ("none?live=sse", 404), ("none?live=long-poll&offset=x", 404), ("s?live=long-poll", 400),
            ("s?live=sse", 400),
            ("s?live=sse&offset=", 400), ("s?live=long-poll&offset=x", 400),
            ("s?live=sse&offset=9999999999999998_0000000000000000", 410),
            ("s?live=long-poll&offset=9999999999999998_0000000000000000", 410),
            ("/v1/stream/__ds?live=sse", 404),
            ("/v1/stream/..?live=sse", 400), ("/x?live=sse", 404),
        ])
    func refused(path: String, status: Int) throws {
        let server = try Server()
        try server.put("s", "abc")
        let answer = try answer(server, path)
        #expect(answer.status == status)
        #expect(answer.code != nil)
    }

    @Test func anUnknownModeIsCatchUp() throws {
        let server = try Server()
        try server.put("s", "abc")
        let answer = try answer(server, "s?live=LONG-POLL")
        #expect(answer.status == 200 && answer.body == "abc" && answer["Stream-Cursor"] == nil)
    }
}

/// PROTOCOL section 10.
@Suite struct EventStreamTests {
    /// Reads on and gives the events as text.
    private func next(_ server: Server, _ stream: inout EventStream, always: Bool = false) throws -> String? {
        let piece = try server.live.look(
            at: stream.state.id, from: stream.position, for: .serverSentEvents, reader: server.reader
        ).get()
        guard let events = stream.events(for: piece, at: stream.key(at: server.clock.now), always: always)
        else {
            return nil
        }
        stream.advance(over: events)
        let token = Offset(incarnation: stream.state.incarnation, position: 0).text.prefix(17)
        return String(decoding: events.bytes, as: UTF8.self).replacing(token, with: "")
            .replacing("00000000000000", with: "") + (events.isLast ? "END" : "")
    }

    private func open(_ server: Server, _ query: String) throws -> (Answer, EventStream) {
        guard case .events(let head, let stream) = try server.open("s?live=sse&offset=\(query)") else {
            throw LongPollTests.Unexpected(query)
        }
        return (Answer(head), stream)
    }

    private static func control(_ position: String, _ rest: String) -> String {
        "event: control\ndata:{\"streamNextOffset\":\"\(position)\",\(rest)}\n\n"
    }

    private static let cursor = #""streamCursor":"2196720""#

    /// What a wake-up tells of an append gives the events that a look gives.
    @Test(arguments: [
        ("text/plain", "some\n text"), ("text/plain", "half of \u{E9}"), ("application/json", "[1, [2], {}]"),
        ("application/octet-stream", "\u{0}\u{1}"), ("text/plain", "\r"),
    ])
    func anAppendThatWasTold(type: String, body: String) throws {
        let server = try Server()
        let body = Array(body.utf8.dropLast(body.hasSuffix("\u{E9}") ? 1 : 0))
        try server.put("s", "", ["Content-Type": type])
        let (_, stream) = try open(server, "now")
        var request = try Server.request(.post, "s", ["Content-Type": type])
        request.body = body
        #expect(try server.send(request).status == 204)
        let appended = try #require(server.store.commits.last?.first?.appended)
        let told = try #require(server.live.piece(appended, of: stream.state, from: 0))
        let seen = try server.live.look(
            at: stream.state.id, from: 0, for: .serverSentEvents, reader: server.reader
        ).get()
        #expect(
            told.content == seen.content && told.start == 0 && told.end == seen.end && told.tail == seen.tail)
        let key = stream.key(at: server.clock.now)
        let events = stream.events(for: told, at: key, always: false)
        #expect(events?.bytes == stream.events(for: seen, at: key, always: false)?.bytes)
        #expect(events?.reachesTail ?? true)
    }

    /// Everybody else has to look.
    @Test func whomAnAppendThatWasToldIsNotFor() throws {
        let server = try Server()
        try server.put("s", "abc", ["Stream-Expires-At": "2026-03-01T12:00:17Z"])
        let (_, stream) = try open(server, "now")
        let appended = Appended(start: 3, end: 5, payload: Array("de".utf8))
        #expect(server.live.piece(appended, of: stream.state, from: 3) != nil)
        for position: Int64 in [0, 2, 4, 5, 6] {
            #expect(server.live.piece(appended, of: stream.state, from: position) == nil)
        }
        server.clock.advance(by: 9_999)
        #expect(server.live.piece(appended, of: stream.state, from: 3) != nil)
        server.clock.advance(by: 1)
        #expect(server.live.piece(appended, of: stream.state, from: 3) == nil, "it has ended")
    }

    @Test func backlogThenLiveThenClosure() throws {
        let server = try Server()
        try server.put("s", "one\r\n")
        try server.post("s", "two\n z")
        var (head, stream) = try open(server, "-1")
        #expect(head.status == 200 && head["Content-Type"] == "text/event-stream")
        #expect(head["Cache-Control"] == "no-cache" && head["ETag"] == nil && head["Stream-Closed"] == nil)
        #expect(head["Stream-SSE-Data-Encoding"] == nil)
        let data = "event: data\ndata:one\ndata:two\ndata:  z\n\n"
        #expect(try next(server, &stream) == data + Self.control("11", Self.cursor + #","upToDate":true"#))
        #expect(try next(server, &stream) == nil)
        try server.post("s", "end", ["Stream-Closed": "true"])
        let last = "event: data\ndata:end\n\n" + Self.control("14", #""upToDate":true,"streamClosed":true"#)
        #expect(try next(server, &stream) == last + "END")
    }

    @Test func nothingToSendIsOneControl() throws {
        let server = try Server()
        try server.put("s", "abc")
        var (_, stream) = try open(server, "now")
        #expect(
            try next(server, &stream, always: true) == Self.control("03", Self.cursor + #","upToDate":true"#))
        try server.send(.post, "s", ["Stream-Closed": "true"])
        let closure = Self.control("03", #""upToDate":true,"streamClosed":true"#) + "END"
        #expect(try next(server, &stream) == closure)
        var (head, late) = try open(server, "now")
        #expect(head["Stream-Closed"] == "true" && head["Stream-Up-To-Date"] == "true" && head.next == 3)
        #expect(try next(server, &late, always: true) == closure)
    }

    @Test func jsonAndBytes() throws {
        let server = try Server()
        try server.put("s", #"[{"t":1},{"t":2}]"#, ["Content-Type": "application/json"])
        var (head, stream) = try open(server, "-1")
        #expect(head["Stream-SSE-Data-Encoding"] == nil)
        #expect(try next(server, &stream)?.hasPrefix("event: data\ndata:[{\"t\":1},{\"t\":2}]\n\n") == true)
        try server.send(.delete, "s")
        try server.put("s", "foob", ["Content-Type": "application/octet-stream"])
        (head, stream) = try open(server, "-1")
        #expect(head["Stream-SSE-Data-Encoding"] == "base64")
        #expect(try next(server, &stream)?.hasPrefix("event: data\ndata:Zm9vYg==\n\n") == true)
    }

    /// An append that ends inside a character waits for the next one, or for the closure.
    @Test func textIsCutBetweenCharacters() throws {
        let server = try Server()
        try server.put("s")
        func post(_ bytes: [UInt8]) throws {
            var request = try Server.request(.post, "s", ["Content-Type": "text/plain"])
            request.body = bytes
            #expect(try server.send(request).status == 204)
        }
        try post([0x61, 0xE2])
        var (_, stream) = try open(server, "-1")
        #expect(
            try next(server, &stream, always: true) == "event: data\ndata:a\n\n"
                + Self.control("01", Self.cursor))
        try post([0x82])
        #expect(try next(server, &stream) == nil)
        try post([0xAC])
        let whole = "event: data\ndata:€\n\n" + Self.control("04", Self.cursor + #","upToDate":true"#)
        #expect(try next(server, &stream) == whole)
        try post([0xC3])
        #expect(try next(server, &stream) == nil)
        try server.send(.post, "s", ["Stream-Closed": "true"])
        let end =
            "event: data\ndata:\u{FFFD}\n\n" + Self.control("05", #""upToDate":true,"streamClosed":true"#)
        #expect(try next(server, &stream) == end + "END")
    }

    @Test func aCursorNeverDecreases() throws {
        let server = try Server()
        try server.put("s")
        var (_, stream) = try open(server, "now&cursor=2196800")
        var last: Int64 = 2_196_800
        for number in 0..<40 {
            try server.post("s", "x")
            let text = try #require(try next(server, &stream))
            let match = try #require(text.firstMatch(of: /"streamCursor":"([0-9]+)"/))
            let cursor = try #require(Int64(String(match.1)))
            #expect(number == 0 ? cursor > last : cursor >= last)
            #expect(cursor >= Cursor.current(at: server.clock.now))
            last = cursor
            server.clock.advance(by: 150_000)
        }
    }
}
