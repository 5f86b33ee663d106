import StreamProtocol
import StreamService
import TestStore
import Testing

/// PROTOCOL section 8, to the millisecond.
@Suite struct ExpiryTests {
    enum Use: String, CaseIterable {
        case get, now, post, duplicate, close, poll, events, head, options, put, badPost, badOffset, control

        /// PROTOCOL section 8.2.
        var touches: Bool {
            switch self {
            case .get, .now, .post, .duplicate, .close, .poll, .events: true
            case .head, .options, .put, .badPost, .badOffset, .control: false
            }
        }

        func perform(_ server: Server) throws -> Int {
            switch self {
            case .get: return try server.send(.get, "s").status
            case .now: return try server.send(.get, "s?offset=now").status
            case .post: return try server.post("s", "x").status
            case .duplicate: return try server.post("s", "x", producer(0, 0)).status
            case .close: return try server.send(.post, "s", ["Stream-Closed": "true"]).status
            case .poll:
                guard case .poll = try server.open("s?live=long-poll&offset=now") else { return 500 }
                return 200
            case .events:
                guard case .events = try server.open("s?live=sse&offset=now") else { return 500 }
                return 200
            case .head: return try server.send(.head, "s").status
            case .options: return try server.send(.options, "s").status
            case .put: return try server.put("s", "", ["Stream-TTL": "100"]).status
            case .badPost: return try server.post("s", "x", ["Content-Type": "text/html"]).status
            case .badOffset: return try server.send(.get, "s?offset=7").status
            case .control: return try server.send(.get, "/v1/stream/__ds/x").status
            }
        }
    }

    /// The window of the test's streams, in milliseconds.
    static let window: Int64 = 100_000
    /// A renewed deadline may be stored up to 2 % later than it is due, so that most touches write nothing.
    static let slack: Int64 = 2_000

    private func streamWithWindow() throws -> Server {
        let server = try Server()
        try server.put("s", "", ["Stream-TTL": "100"])
        #expect(try server.post("s", "first", producer(0, 0)).status == 200)
        return server
    }

    @Test func anUnusedStreamExpiresExactly() throws {
        let server = try streamWithWindow()
        server.clock.advance(by: Self.window - 1)
        #expect(try server.send(.head, "s").status == 200)
        server.clock.advance(by: 1)
        for method: Method in [.head, .get, .delete] { #expect(try server.send(method, "s").status == 404) }
        #expect(try server.post("s", "x").status == 404)
        #expect(try server.put("s", "", ["Content-Type": "text/html"]).status == 201)
        #expect(try server.send(.get, "s").body == "")
    }

    @Test(arguments: Use.allCases)
    func whatTouches(use: Use) throws {
        let server = try streamWithWindow()
        server.clock.advance(by: Self.window - 1)
        let status = try use.perform(server)
        let isRefusal = use == .badPost || use == .badOffset || use == .control
        #expect(isRefusal ? status >= 400 : status < 300, "\(use): \(status)")
        server.clock.advance(by: 1)
        #expect(try server.send(.head, "s").status == (use.touches ? 200 : 404))
        guard use.touches else { return }
        server.clock.advance(by: Self.window - 2)
        #expect(try server.send(.head, "s").status == 200, "never early")
        server.clock.advance(by: 1 + Self.slack)
        #expect(try server.send(.head, "s").status == 404, "nor much later")
    }

    @Test func aConditionalReadTouches() throws {
        let server = try streamWithWindow()
        server.clock.advance(by: Self.window - 1)
        let tag = try #require(try server.send(.get, "s")["ETag"])
        server.clock.advance(by: Self.window - 1)
        #expect(try server.send(.get, "s", ["If-None-Match": tag]).status == 304)
        server.clock.advance(by: Self.window - 1)
        #expect(try server.send(.head, "s").status == 200)
    }

    @Test func aLongPollTouchesWhenItEnds() throws {
        let server = try streamWithWindow()
        guard case .poll(let poll) = try server.open("s?live=long-poll&offset=now") else {
            Issue.record("no wait")
            return
        }
        server.clock.advance(by: Self.window - 1)
        #expect(server.live.timeout(poll).status == 204)
        try server.settle()
        server.clock.advance(by: Self.window - 1)
        #expect(try server.send(.head, "s").status == 200)
        server.live.touch(poll.state)
        try server.settle()
        server.clock.advance(by: Self.window - 1)
        #expect(try server.send(.head, "s").status == 200)
    }

    /// Random uses at random times against the rule itself.
    @Test(arguments: [1, 3, 60, 3_600, 86_400] as [Int64])
    func aSlidingWindowNeverEndsEarly(seconds: Int64) throws {
        let server = try Server()
        let window = seconds * 1_000
        let slack = min(window / 50, 60_000)
        for round in 0..<8 {
            let name = "s\(round)"
            try server.put(name, "", ["Stream-TTL": String(seconds)])
            var touched = server.clock.now
            for _ in 0..<40 {
                // Mostly small steps, so that many touches fall into the slack of the one before.
                let step = Bool.random() ? Int64.random(in: 0...slack + 1) : Int64.random(in: 0...window - 1)
                server.clock.advance(by: step)
                let age = server.clock.now - touched
                let status = try server.send(.head, name).status
                if age < window { #expect(status == 200, "\(age) ms after the last use") }
                if age >= window + slack { #expect(status == 404, "\(age) ms after the last use") }
                guard status == 200 else { break }
                if Bool.random() {
                    #expect(try server.send(.get, name).status == 200)
                    touched = server.clock.now
                }
            }
            server.clock.advance(by: max(0, touched + window + slack - server.clock.now))
            #expect(try server.send(.head, name).status == 404)
        }
    }

    @Test func anInstantIsMovedByNothing() throws {
        let server = try Server()
        let text = "2026-03-01T13:00:17.250+01:00"
        try server.put("s", "x", ["Stream-Expires-At": text])
        for _ in 0..<10 {
            server.clock.advance(by: 1_024)
            #expect(try server.post("s", "x").status == 204)
            #expect(try server.send(.get, "s").status == 200)
        }
        #expect(try server.send(.head, "s")["Stream-Expires-At"] == text)
        server.clock.advance(by: 9)
        #expect(try server.send(.head, "s").status == 200)
        server.clock.advance(by: 1)
        #expect(try server.send(.head, "s").status == 404)
        #expect(try server.send(.get, "s?offset=x").status == 404)
    }

    @Test(arguments: [
        ["Stream-TTL": "0"], ["Stream-Expires-At": "2020-01-01T00:00:00Z"],
        ["Stream-Expires-At": "2026-03-01T12:00:07Z"],
    ])
    func bornExpired(headers: [String: String]) throws {
        let server = try Server()
        #expect(try server.put("s", "x", headers).status == 201)
        #expect(try server.send(.get, "s").status == 404)
        #expect(try server.put("s", "y", headers).status == 201)
        #expect(try server.send(.delete, "s").status == 404)
    }

    @Test func aWaitingReaderLearnsThatAnInstantHasPassed() throws {
        let server = try Server()
        try server.put("s", "", ["Stream-Expires-At": "2026-03-01T12:00:08Z"])
        guard case .poll(let poll) = try server.open("s?live=long-poll&offset=now") else {
            Issue.record("no wait")
            return
        }
        func look() -> Int? {
            let seen = server.live.look(at: poll.state.id, from: 0, for: .longPoll, reader: server.reader)
            return server.live.answer(poll, seen)?.status
        }
        server.clock.advance(by: 999)
        #expect(look() == nil)
        server.clock.advance(by: 1)
        #expect(look() == 404)
    }

    @Test(arguments: ["9007199254740991", "1"])
    func theLongestAndTheShortestWindow(seconds: String) throws {
        let server = try Server()
        #expect(try server.put("s", "x", ["Stream-TTL": seconds]).status == 201)
        #expect(try server.send(.head, "s")["Stream-TTL"] == seconds)
        server.clock.advance(by: 900)
        #expect(try server.send(.get, "s").status == 200)
        #expect(try server.send(.head, "s")["Stream-TTL"] == seconds, "the window, not the time left")
    }
}
