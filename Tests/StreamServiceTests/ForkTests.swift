import StreamProtocol
import StreamService
import StreamStore
import TestStore
import Testing

/// PROTOCOL section 11 and rows 12 to 16 of 3.1.
@Suite struct ForkTests {
    /// `a`: the appends "take" and "away"; `j`: [1,2] and [3].
    private static func filled() throws -> Server {
        let server = try Server()
        try server.put("a", "take")
        try server.post("a", "away")
        let json = ["Content-Type": "application/json"]
        try server.send(.put, "j", json, "[1,2]")
        try server.send(.post, "j", json, "[3]")
        return server
    }

    @discardableResult
    private static func fork(
        _ server: Server, _ source: String, at position: Int64? = nil, sub: String? = nil, body: String = "",
        _ more: [String: String] = [:], as name: String = "f"
    ) throws -> Answer {
        var headers = ["Stream-Forked-From": "/v1/stream/\(source)"].merging(more) { $1 }
        if let position {
            let tail = try #require(try server.send(.head, source)["Stream-Next-Offset"])
            let incarnation = try #require(Offset(Array(tail.utf8))).incarnation
            headers["Stream-Fork-Offset"] = Offset(incarnation: incarnation, position: position).text
        }
        headers["Stream-Fork-Sub-Offset"] = sub
        return try server.send(.put, name, headers, body)
    }

    @Test(
        arguments: [
            ("a", nil, nil, "takeaway"), ("a", 0, nil, ""), ("a", 8, nil, "takeaway"), ("a", 9, nil, nil),
            ("a", 4, "0", "take"), ("a", 4, "2", "takeaw"), ("a", 4, "4", "takeaway"), ("a", 4, "5", nil),
            ("a", 0, "4", "take"), ("a", 0, "5", nil), ("a", 2, "2", "take"), ("a", 2, "3", nil),
            ("a", 8, "1", nil),
            ("a", nil, "1", nil), ("a", 0, "9007199254740991", nil), ("j", nil, nil, "[1,2,3]"),
            ("j", 0, nil, "[]"),
            ("j", 1, nil, "[1]"), ("j", 0, "3", "[1,2,3]"), ("j", 1, "1", "[1,2]"), ("j", 1, "3", nil),
            ("j", 3, "1", nil),
        ] as [(String, Int64?, String?, String?)])
    func points(source: String, position: Int64?, sub: String?, content: String?) throws {
        let server = try Self.filled()
        let answer = try Self.fork(server, source, at: position, sub: sub)
        #expect(answer.status == (content == nil ? 400 : 201))
        let read = try server.send(.get, "f")
        #expect(read.status == (content == nil ? 404 : 200))
        guard let content else { return }
        #expect(read.body == content)
        #expect(answer["Stream-Next-Offset"] == read["Stream-Next-Offset"])
        #expect(read["Content-Type"] == (try server.send(.head, source))["Content-Type"])
        #expect(try Self.fork(server, source, at: position, sub: sub).status == 200)
    }

    @Test func ownContentFollowsTheInherited() throws {
        let server = try Self.filled()
        #expect(try Self.fork(server, "a", at: 4, sub: "2", body: "!!").next == 8)
        try server.post("a", "x", ["Stream-Closed": "true"])
        try server.post("f", "y")
        #expect(try server.send(.get, "f").body == "takeaw!!y")
        #expect(try server.send(.get, "f")["Stream-Closed"] == nil)
        #expect(try server.send(.get, "a").body == "takeawayx")
        #expect(try Self.fork(server, "f", at: 7, as: "g").status == 201)
        #expect(try server.send(.get, "g").body == "takeaw!")
        #expect(try Self.fork(server, "j", at: 1, body: "[8,9]", as: "k").next == 3)
        #expect(try server.send(.get, "k").body == "[1,8,9]")
    }

    @Test func sourcesThatAreMissingOrDifferent() throws {
        let server = try Self.filled()
        #expect(try Self.fork(server, "none").status == 404)
        #expect(try server.put("f", "", ["Stream-Forked-From": "http://x/v1/stream/a"]).status == 404)
        #expect(try server.put("f", "", ["Stream-Forked-From": "/v1/stream/__ds/a"]).status == 404)
        #expect(try Self.fork(server, "a", ["Content-Type": "text/html"]).status == 409)
        #expect(
            try Self.fork(server, "a", ["Stream-Fork-Offset": "9999999999999999_9999999999999999"]).status
                == 400)
        #expect(try Self.fork(server, "j", body: "{").status == 400)
        // None of these took a reference: the sources go at once.
        for source in ["a", "j"] {
            #expect(try server.send(.delete, source).status == 204)
            #expect(try server.send(.get, source).status == 404)
        }
    }

    @Test func deletedSourcesLiveOnForTheirForks() throws {
        let server = try Self.filled()
        #expect(try Self.fork(server, "a", as: "b").status == 201)
        #expect(try Self.fork(server, "b", at: 4, as: "c").status == 201)
        #expect(try server.send(.delete, "a").status == 204)
        for method: Method in [.get, .head, .delete] { #expect(try server.send(method, "a").status == 410) }
        #expect(try server.post("a", "x").status == 410)
        #expect(try server.put("a").status == 409)
        #expect(try Self.fork(server, "a", as: "d").status == 409)
        #expect(try Self.fork(server, "a", as: "b").status == 200, "a repetition doesn't look at the source")
        #expect(try server.send(.delete, "b").status == 204)
        #expect(try server.send(.get, "c").body == "take")
        #expect(try server.send(.delete, "c").status == 204)
        for name in ["a", "b", "c"] { #expect(try server.send(.get, name).status == 404) }
        #expect(try server.put("a", "new").status == 201)
    }

    @Test func producersAndSequencesBeginAnew() throws {
        let server = try Self.filled()
        try server.post("a", "x", producer(3, 0).merging(["Stream-Seq": "m"]) { $1 })
        try Self.fork(server, "a")
        #expect(try server.post("f", "y", producer(0, 0).merging(["Stream-Seq": "a"]) { $1 }).status == 200)
    }

    @Test func lifetimesAreInheritedWithAWindowOfTheirOwn() throws {
        let server = try Server()
        try server.put("a", "abc", ["Stream-TTL": "100"])
        server.clock.advance(by: 60_000)
        #expect(try Self.fork(server, "a").status == 201)
        #expect(try server.send(.head, "f")["Stream-TTL"] == "100")
        #expect(try Self.fork(server, "a", ["Stream-TTL": "500"], as: "g").status == 201)
        server.clock.advance(by: 40_000)
        // Reading the fork never touched the source, which has expired and is still needed.
        #expect(try server.send(.get, "a").status == 410)
        #expect(try server.send(.get, "f").body == "abc")
        server.clock.advance(by: 103_000)
        #expect(try server.send(.get, "f").status == 404)
        #expect(try server.send(.get, "g").body == "abc")
        server.clock.advance(by: 511_000)
        // The reads have ended the source and the first fork. Nobody asks for the second again: the sweep ends it, and
        // the source goes with it.
        let now = server.clock.now
        #expect(
            try server.store.committer.perform { (session) throws(StoreError) in
                try session.sweep(now: now, StepBudget(rows: 10))
            } == 1)
        for name in ["g", "a"] { #expect(try server.send(.get, name).status == 404, "\(name)") }
    }
}
