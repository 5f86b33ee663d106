import StreamProtocol
import StreamService
import TestStore
import Testing

/// PROTOCOL sections 9.1 to 9.3.
@Suite struct CacheControlTests {
    @Test(
        arguments: [
            ([:], "max-age=60, stale-while-revalidate=300"),
            (["Stream-TTL": "86400"], "max-age=60, stale-while-revalidate=300"),
            (["Stream-TTL": "360"], "max-age=60, stale-while-revalidate=300"),
            (["Stream-TTL": "359"], "max-age=60"), (["Stream-TTL": "60"], "max-age=60"),
            (["Stream-TTL": "59"], "max-age=59"), (["Stream-TTL": "1"], "max-age=1"),
            (["Stream-Expires-At": "2026-03-01T12:06:07Z"], "max-age=60, stale-while-revalidate=300"),
            (["Stream-Expires-At": "2026-03-01T12:06:06.999Z"], "max-age=60"),
            (["Stream-Expires-At": "2026-03-01T12:00:17.900Z"], "max-age=10"),
            (["Stream-Expires-At": "2026-03-01T12:00:08Z"], "max-age=1"),
            (["Stream-Expires-At": "2026-03-01T12:00:07.999Z"], nil),
        ] as [([String: String], String?)])
    func lifetimes(headers: [String: String], expected: String?) throws {
        let server = try Server()
        try server.put("s", "abc", headers)
        let shared = try server.send(.get, "s")
        #expect(shared["Cache-Control"] == (expected.map { "public, \($0)" } ?? "no-store"))
        let own = try server.send(.get, "s", ["Authorization": "Bearer x"])
        #expect(own["Cache-Control"] == (expected.map { "private, \($0)" } ?? "no-store"))
        let again = try server.send(.get, "s", ["If-None-Match": try #require(shared["ETag"])])
        #expect(again.status == 304)
        #expect(again["Cache-Control"] == shared["Cache-Control"])
    }

    @Test func whatIsNotStored() throws {
        let server = try Server()
        try server.put("open")
        try server.put("data", "abc")
        try server.put("closed", "abc", ["Stream-Closed": "true"])
        let kept = "public, max-age=60, stale-while-revalidate=300"
        let rows: [(Method, String, String)] = [
            (.get, "open", "no-store"), (.get, "data", kept), (.get, "closed", kept),
            (.head, "data", "no-store"),
            (.get, "data?offset=now", "no-store"), (.get, "closed?offset=now", "no-store"),
            (.get, "data?offset=0000000000000000_0000000000000003", "no-store"),
            (.get, "closed?offset=0000000000000000_0000000000000003", kept), (.get, "none", "no-store"),
            (.get, "data?offset=x", "no-store"), (.delete, "none", "no-store"), (.post, "data", "no-store"),
        ]
        for (method, path, expected) in rows {
            #expect(try server.send(method, path)["Cache-Control"] == expected, "\(method) \(path)")
        }
    }

    /// Only a cut piece of a stream without an end, asked for by its incarnation, may be kept by the proxy, and the header
    /// must come first.
    @Test func theProxyKeepsOnlyCutPieces() throws {
        let server = try Server(readChunk: 4)
        let id = try #require(try server.put("s", "abcdefgh")["Stream-Next-Offset"]?.prefix(16))
        let limited = try server.put("t", "abcdefgh", ["Stream-TTL": "1000"])
        let limitedID = try #require(limited["Stream-Next-Offset"]?.prefix(16))
        let start = "s?offset=\(id)_0000000000000000"
        func seconds(_ path: String, _ headers: [String: String] = [:], stored: Bool = true) throws -> String?
        {
            var request = try Server.request(.get, path, headers)
            request.mayBeStored = stored
            let answer = try server.send(request)
            let names = answer.headers.map(\.name)
            let first = try #require(names.firstIndex(of: "X-Accel-Expires"))
            #expect(try first < #require(names.firstIndex(of: "Cache-Control")))
            return answer["X-Accel-Expires"]
        }
        #expect(try seconds(start) == "1")
        #expect(try seconds(start, stored: false) == "0")
        #expect(try seconds(start, ["Authorization": "x"]) == "0")
        #expect(try seconds("s?offset=\(id)_0000000000000004") == "0")
        for spelling in ["s", "s?offset=-1", "s?offset=0000000000000000_0000000000000001"] {
            #expect(try seconds(spelling) == "0", "\(spelling)")
        }
        #expect(try seconds("s?offset=now") == "0")
        #expect(try seconds("t?offset=\(limitedID)_0000000000000000") == "0")
    }

    @Test func entityTags() throws {
        let server = try Server(readChunk: 4)
        let id = try #require(try server.put("s", "abcdef")["Stream-Next-Offset"]?.prefix(16))
        let start = try #require(try server.send(.get, "s")["ETag"])
        #expect(start.hasSuffix(":-1:\(id)_0000000000000004\""))
        for spelling in ["-1", "0000000000000000_0000000000000000"] {
            #expect(try server.send(.get, "s?offset=\(spelling)")["ETag"] == start)
        }
        let rest = "s?offset=\(id)_0000000000000004"
        let open = try #require(try server.send(.get, rest)["ETag"])
        #expect(open.hasSuffix(":\(id)_0000000000000004:\(id)_0000000000000006\""))
        try server.send(.post, "s", ["Stream-Closed": "true"])
        let closed = try server.send(.get, rest, ["If-None-Match": open])
        #expect(closed.status == 200, "closing can't hide behind a 304")
        #expect(closed["ETag"] == open.dropLast() + ":c\"")
        #expect(try server.send(.get, "s")["ETag"] == start, "a cut piece says nothing of the closure")
        #expect(try server.send(.get, rest, ["If-None-Match": "*"]).status == 304)
        try server.send(.delete, "s")
        try server.put("s", "abcdef")
        #expect(try server.send(.get, "s", ["If-None-Match": start]).status == 200)
    }

    @Test func notModified() throws {
        let server = try Server()
        try server.put("s", "abc", ["Stream-Closed": "true"])
        let full = try server.send(.get, "s")
        let tag = try #require(full["ETag"])
        let answer = try server.send(.get, "s", ["If-None-Match": "\"zz\", W/\(tag)"])
        #expect(answer.status == 304)
        #expect(!answer.response.hasBody && answer.body.isEmpty)
        #expect(answer["Content-Type"] == nil)
        for name in ["ETag", "Cache-Control", "Stream-Next-Offset", "Stream-Up-To-Date", "Stream-Closed"] {
            #expect(answer[name] == full[name])
            #expect(answer[name] != nil)
        }
        let now = try server.send(.get, "s?offset=now", ["If-None-Match": "*"])
        #expect(now.status == 200)
        #expect(now["ETag"] == nil)
        var revalidation = try Server.request(.get, "s", ["If-None-Match": tag])
        revalidation.cacheEntityTag = "\"other\""
        #expect(try server.send(revalidation).status == 200, "the cache's own question comes first")
    }
}
