import StreamProtocol
import StreamService
import TestStore
import Testing

/// PROTOCOL sections 3.0, 3.3, 3.4, 3.7 and 3.8.
@Suite struct ReadTests {
    /// A server with the streams `text` ("abcdef"), `json` (3 messages), `empty`, `void` (empty, JSON),
    /// `closed` ("end"), and the incarnation of each.
    private static func filled(readChunk: Int = 65_536) throws -> (Server, (String) throws -> String) {
        let server = try Server(readChunk: readChunk)
        let json = ["Content-Type": "application/json; charset=utf-8"]
        try server.put("text", "abc")
        try server.post("text", "def")
        try server.put("json", #"[1, {"a" : 2},"x"]"#, json)
        try server.put("empty")
        try server.put("void", "", json)
        try server.put("closed", "end", ["Stream-Closed": "true"])
        return (
            server,
            { name in String(try #require(server.send(.head, name)["Stream-Next-Offset"]).prefix(16)) }
        )
    }

    /// Path, position or word, status, body, end, and whether tail and closure are reported.
    @Test(
        arguments: [
            ("text", nil, "abcdef", 6, true), ("text", "-1", "abcdef", 6, true),
            ("text", "0", "abcdef", 6, true),
            ("text", "2", "cdef", 6, true), ("text", "3", "def", 6, true), ("text", "6", "", 6, true),
            ("text", "7", "", 6, true), ("text", "9999999999999999", "", 6, true),
            ("text", "now", "", 6, true),
            ("json", nil, #"[1,{"a" : 2},"x"]"#, 3, true), ("json", "1", #"[{"a" : 2},"x"]"#, 3, true),
            ("json", "3", "[]", 3, true), ("json", "now", "[]", 3, true), ("json", "4", "[]", 3, true),
            ("empty", nil, "", 0, true), ("empty", "now", "", 0, true), ("void", nil, "[]", 0, true),
            ("void", "now", "[]", 0, true), ("closed", nil, "end", 3, true), ("closed", "3", "", 3, true),
            ("closed", "now", "", 3, true), ("closed", "1", "nd", 3, true),
        ] as [(String, String?, String, Int64, Bool)])
    func catchUp(path: String, offset: String?, body: String, end: Int64, upToDate: Bool) throws {
        let (server, incarnation) = try Self.filled()
        let token = try offset.map { offset in
            guard let position = Int64(offset), position >= 0 else { return offset }
            return Offset(incarnation: try #require(Int64(incarnation(path))), position: position).text
        }
        let answer = try server.send(.get, path + (token.map { "?offset=\($0)" } ?? ""))
        #expect(answer.status == 200)
        #expect(answer.body == body)
        #expect(answer.next == end)
        #expect(answer["Stream-Next-Offset"]?.prefix(16) == (try incarnation(path))[...])
        #expect(answer["Stream-Up-To-Date"] == (upToDate ? "true" : nil))
        #expect(answer["Stream-Closed"] == (path == "closed" ? "true" : nil))
        #expect(
            answer["Content-Type"] == (body.hasPrefix("[") ? "application/json; charset=utf-8" : "text/plain")
        )
        #expect((answer["ETag"] == nil) == (offset == "now"))
        #expect(answer["Stream-Cursor"] == nil)
    }

    @Test func cutPieces() throws {
        let (server, incarnation) = try Self.filled(readChunk: 4)
        let first = try server.send(.get, "closed?offset=-1")
        #expect(first["Stream-Closed"] == "true")
        let cut = try server.send(.get, "text")
        #expect(cut.body == "abc" && cut.next == 3)
        #expect(cut["Stream-Up-To-Date"] == nil && cut["Stream-Closed"] == nil)
        try server.send(.post, "text", ["Stream-Closed": "true"])
        #expect(try server.send(.get, "text")["Stream-Closed"] == nil)
        let rest = try server.send(.get, "text?offset=\(incarnation("text"))_0000000000000003")
        #expect(rest.body == "def" && rest["Stream-Closed"] == "true" && rest["Stream-Up-To-Date"] == "true")
        // A message is never cut, whatever its size.
        #expect(
            try server.send(.get, "json?offset=\(incarnation("json"))_0000000000000001").body
                == #"[{"a" : 2}]"#)
    }

    @Test(
        arguments: [
            ("none", 404, "STREAM_NOT_FOUND"), ("none?offset=x", 404, "STREAM_NOT_FOUND"),
            ("text?offset=", 400, "OFFSET_INVALID"), ("text?offset=-1&offset=-1", 400, "OFFSET_INVALID"),
            ("text?offset=3", 400, "OFFSET_INVALID"), ("text?offset=now%0A", 400, "OFFSET_INVALID"),
            ("text?offset=9999999999999999_0000000000000000", 410, "OFFSET_GONE"),
            ("/v1/stream/../x", 400, "PATH_INVALID"), ("/v1/stream/a%2Fb", 400, "PATH_INVALID"),
            ("/v1/stream/", 404, "NOT_FOUND"), ("/", 404, "NOT_FOUND"),
            ("/v1/stream/__ds/jwks", 404, "SUBSCRIPTION_NOT_FOUND"),
            ("/v1/stream/" + String(repeating: "a", count: 2_048), 414, "URI_TOO_LONG"),
        ])
    func refused(path: String, status: Int, code: String) throws {
        let (server, _) = try Self.filled()
        let answer = try server.send(.get, path)
        #expect(answer.status == status)
        #expect(answer.code == code)
        #expect(answer.headers.map(\.name) == ["Content-Type", "Cache-Control"])
    }

    @Test func anOldIncarnationIsGone() throws {
        let (server, incarnation) = try Self.filled()
        let old = try incarnation("text")
        try server.send(.delete, "text")
        #expect(try server.send(.get, "text?offset=\(old)_0000000000000003").status == 404)
        try server.put("text", "uvwxyz")
        let answer = try server.send(.get, "text?offset=\(old)_0000000000000003")
        #expect(answer.status == 410 && answer.code == "OFFSET_GONE")
        #expect(try server.send(.get, "text?offset=0000000000000000_0000000000000000").body == "uvwxyz")
        #expect(try incarnation("text") > old)
    }

    private static func method(_ name: String) -> Method {
        Array(name.utf8).withUnsafeBufferPointer { Method($0) }
    }

    @Test(arguments: [
        "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "get", "GETS", "GE", "", "Post",
    ])
    func methodNames(name: String) {
        let known: [String: Method] = [
            "GET": .get, "HEAD": .head, "PUT": .put, "POST": .post, "DELETE": .delete, "OPTIONS": .options,
        ]
        #expect(Self.method(name) == known[name] ?? .other)
    }

    @Test func otherMethods() throws {
        let (server, _) = try Self.filled()
        let refused = try server.send(Self.method("PATCH"), "text")
        #expect(refused.status == 405 && refused.code == "METHOD_NOT_ALLOWED")
        #expect(refused["Allow"] == "GET, HEAD, PUT, POST, DELETE, OPTIONS")
        for path in ["text", "none", "/", "/v1/stream/.."] {
            let preflight = try server.send(.options, path)
            #expect(preflight.status == 204 && preflight.body.isEmpty)
            #expect(preflight["Access-Control-Allow-Methods"] == "GET, POST, PUT, DELETE, HEAD, OPTIONS")
            #expect(preflight["Access-Control-Max-Age"] == "86400")
        }
        #expect(try server.send(.get, "/healthz").body == #"{"status":"ok"}"#)
        #expect(try server.send(.get, "/readyz").status == 200)
    }

    @Test func head() throws {
        let (server, _) = try Self.filled()
        try server.put("ttl", "", ["Stream-TTL": "3600"])
        let open = try server.send(.head, "text?offset=nonsense")
        #expect(open.status == 200 && open.body.isEmpty && open.next == 6)
        #expect(open["Content-Type"] == "text/plain" && open["Cache-Control"] == "no-store")
        #expect(open["Stream-Closed"] == nil && open["Stream-TTL"] == nil && open["Stream-Expires-At"] == nil)
        #expect(try server.send(.head, "closed")["Stream-Closed"] == "true")
        #expect(try server.send(.head, "ttl")["Stream-TTL"] == "3600")
        #expect(try server.send(.head, "none").status == 404)
    }

    @Test func delete() throws {
        let (server, _) = try Self.filled()
        for path in ["text", "closed", "void"] {
            #expect(try server.send(.delete, path).status == 204)
            for method: Method in [.delete, .get, .head] {
                #expect(try server.send(method, path).status == 404)
            }
            #expect(try server.post(path, "x").status == 404)
        }
    }

    @Test func namesAreNormalised() throws {
        let server = try Server()
        try server.put("/v1/stream/a%7e%c3%a9", "x")
        #expect(try server.send(.get, "/v1/stream/%61~%C3%A9").body == "x")
        #expect(try server.send(.get, "/v1/shop/stream/a~%C3%A9").status == 404)
        #expect(try server.put("/v1/shop/stream/a~%C3%A9", "y").status == 201)
        #expect(try server.send(.get, "/v1/stream/a~%C3%A9").body == "x")
    }
}
