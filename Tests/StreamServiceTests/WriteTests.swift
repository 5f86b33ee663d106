import StreamProtocol
import StreamService
import TestStore
import Testing

/// PROTOCOL section 3.1.
@Suite struct PutTests {
    static let instant = "2030-01-01T00:00:00Z"

    @Test(
        arguments: [
            (["Stream-TTL": "1", "Stream-Expires-At": instant], "EXPIRY_CONFLICT"),
            (["Stream-TTL": "x", "Stream-Expires-At": "y"], "EXPIRY_CONFLICT"),
            (["Stream-TTL": "-1"], "TTL_INVALID"), (["Stream-TTL": "+60"], "TTL_INVALID"),
            (["Stream-TTL": "00060"], "TTL_INVALID"), (["Stream-TTL": "60.5"], "TTL_INVALID"),
            (["Stream-TTL": "1e3"], "TTL_INVALID"), (["Stream-TTL": "9007199254740992"], "TTL_INVALID"),
            (["Stream-Expires-At": "2030"], "EXPIRES_AT_INVALID"),
            (["Stream-Expires-At": "2030-13-01T00:00:00Z"], "EXPIRES_AT_INVALID"),
            (["Stream-Fork-Sub-Offset": ""], "FORK_INVALID"),
            (["Stream-Fork-Sub-Offset": "0"], "FORK_INVALID"),
            (["Stream-Fork-Offset": "0000000000000000_0000000000000000"], "FORK_INVALID"),
            (["Stream-Forked-From": "/v1/stream/a", "Stream-Fork-Offset": "-1"], "OFFSET_INVALID"),
            (["Stream-Forked-From": "/v1/stream/a", "Stream-Fork-Offset": "now"], "OFFSET_INVALID"),
            (["Stream-Forked-From": "/v1/stream/a", "Stream-Fork-Sub-Offset": "05"], "FORK_INVALID"),
            (["Stream-Forked-From": "/v1/stream/a", "Stream-Fork-Sub-Offset": ""], "FORK_INVALID"),
        ] as [([String: String], String)])
    func refused(headers: [String: String], code: String) throws {
        let server = try Server()
        try server.put("a", "x")
        let answer = try server.put("s", "x", headers)
        #expect(answer.status == 400)
        #expect(answer.code == code)
        #expect(try server.send(.head, "s").status == 404)
    }

    @Test(
        arguments: [
            ["Stream-TTL": ""], ["Stream-Expires-At": ""], ["Stream-Fork-Offset": ""],
            ["Stream-Forked-From": ""],
            ["Producer-Id": "p"], ["Producer-Seq": "x", "Stream-Seq": "b"],
        ] as [[String: String]])
    func ignored(headers: [String: String]) throws {
        let server = try Server()
        #expect(try server.put("s", "x", headers).status == 201)
        #expect(try server.put("s", "x").status == 200)
        // Producer and sequence headers left nothing behind.
        #expect(try server.post("s", "y", producer(0, 0).merging(["Stream-Seq": "a"]) { $1 }).status == 200)
    }

    @Test func created() throws {
        let server = try Server()
        let answer = try server.send(.put, "a/%62", ["Content-Type": "Text/Plain;x=y", "Host": "h:1"], "abc")
        #expect(answer.status == 201)
        #expect(answer["Location"] == "http://h:1/v1/stream/a/%62")
        #expect(answer["Content-Type"] == "Text/Plain;x=y")
        #expect(answer.next == 3)
        #expect(answer["Stream-Closed"] == nil)
        #expect(answer.body.isEmpty)
        let again = try server.put("a/b", "ignored")
        #expect(again.status == 200)
        #expect(again["Location"] == nil)
        #expect(again["Content-Type"] == "Text/Plain;x=y")
        #expect(again.next == 3)
    }

    @Test func theConfiguredOriginIsUsed() throws {
        let server = try Server(publicURL: "https://streams.example.net")
        let answer = try server.put("a", "", ["Host": "inside"])
        #expect(answer["Location"] == "https://streams.example.net/v1/stream/a")
    }

    @Test(arguments: ["", "text", "text/", "/plain", "a b/c", "text/plain, text/html"])
    func aMalformedTypeCountsAsOmitted(type: String) throws {
        let server = try Server()
        #expect(try server.put("s", "", ["Content-Type": type])["Content-Type"] == "application/octet-stream")
        #expect(try server.send(.put, "s").status == 200)
    }

    @Test(
        arguments: [
            ("{\"a\":1}", 1), ("[1,2,3]", 3), ("[[1,2]]", 1), ("[]", 0), (" [ ] ", 0), ("", 0), ("[", nil),
            ("  ", nil),
        ] as [(String, Int64?)])
    func jsonBodies(body: String, tail: Int64?) throws {
        let server = try Server()
        let answer = try server.send(.put, "j", ["Content-Type": "application/json; charset=utf-8"], body)
        #expect(answer.status == (tail == nil ? 400 : 201))
        #expect(answer.next == tail)
        #expect(try server.send(.head, "j").status == (tail == nil ? 404 : 200))
        guard tail != nil else { return }
        // The body of a repetition is not even looked at.
        #expect(try server.send(.put, "j", ["Content-Type": "application/json"], "[[[").status == 200)
    }

    @Test func closureIsCompared() throws {
        let server = try Server()
        #expect(try server.put("c", "x", ["Stream-Closed": "TRUE"])["Stream-Closed"] == "true")
        #expect(try server.put("c", "x").status == 409)
        #expect(try server.put("c", "x", ["Stream-Closed": "true"]).status == 200)
        #expect(try server.put("o", "", ["Stream-Closed": "1"]).status == 201)
        #expect(try server.put("o", "", ["Stream-Closed": "true"]).status == 409)
        #expect(try server.put("o", "", ["Stream-Closed": "false"]).status == 200)
    }

    @Test func limits() throws {
        let server = try Server()
        #expect(try server.put("s", String(repeating: "x", count: 1_000)).status == 201)
        let large = try server.put("t", String(repeating: "x", count: 1_001))
        #expect(large.status == 413 && large.code == "BODY_TOO_LARGE")
        #expect(try server.post("s", String(repeating: "x", count: 1_001)).status == 413)
        #expect(try server.post("s", "x", ["Content-Encoding": "gzip"]).status == 415)
        #expect(try server.post("s", "x", ["Content-Encoding": "Identity"]).status == 204)
        #expect(
            try server.post("s", "x", producer(0, 0, id: String(repeating: "p", count: 257))).status == 400)
        #expect(
            try server.post("s", "x", producer(0, 0, id: String(repeating: "p", count: 256))).status == 200)
        #expect(try server.post("s", "x", ["Stream-Seq": String(repeating: "p", count: 1_025)]).status == 400)
        #expect(try server.post("s", "x", ["Stream-Seq": String(repeating: "p", count: 1_024)]).status == 204)
    }
}

/// PROTOCOL section 3.2, and the errors' headers of 4.2.
@Suite struct PostTests {
    static let allowed: [String: Set<String>] = [
        "STREAM_CLOSED": ["Stream-Closed", "Stream-Next-Offset"], "PRODUCER_FENCED": ["Producer-Epoch"],
        "PRODUCER_GAP": ["Producer-Expected-Seq", "Producer-Received-Seq"],
    ]

    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let path: String
        let headers: [String: String]
        let body: String
        let status: Int
        let code: String?

        init(
            _ name: String, _ path: String, _ headers: [String: String], _ body: String, _ status: Int,
            _ code: String? = nil
        ) {
            testDescription = name
            self.path = path
            self.headers = headers
            self.body = body
            self.status = status
            self.code = code
        }
    }

    static let text = ["Content-Type": "text/plain"]
    static let json = ["Content-Type": "application/json"]
    static func with(_ more: [String: String], _ type: [String: String] = text) -> [String: String] {
        type.merging(more) { $1 }
    }

    /// On `open` producer p is at (1, 4) and the sequence at "m"; (1, 7) closed `closed`.
    static let rows = [
        Row("1", "none", text, "x", 404, "STREAM_NOT_FOUND"),
        Row("1 before 3", "none", with(["Producer-Id": "p"]), "x", 404, "STREAM_NOT_FOUND"),
        Row("1 before 6", "none", [:], "", 404, "STREAM_NOT_FOUND"),
        Row("1 before 8", "none", [:], "x", 404, "STREAM_NOT_FOUND"),
        Row("3", "open", with(["Producer-Id": "p"]), "x", 400, "PRODUCER_INVALID"),
        Row("3", "open", with(["Producer-Id": "p", "Producer-Epoch": "1"]), "x", 400, "PRODUCER_INVALID"),
        Row(
            "3: empty", "open", with(["Producer-Id": "", "Producer-Epoch": "1", "Producer-Seq": "0"]), "x",
            400, "PRODUCER_INVALID"),
        Row(
            "4", "open", with(["Producer-Id": "p", "Producer-Epoch": "1e3", "Producer-Seq": "0"]), "x", 400,
            "PRODUCER_INVALID"),
        Row(
            "4", "open",
            with(["Producer-Id": "p", "Producer-Epoch": "1", "Producer-Seq": "9007199254740992"]), "x", 400,
            "PRODUCER_INVALID"),
        Row("6", "open", text, "", 400, "BODY_EMPTY"),
        Row("6: false", "open", with(["Stream-Closed": "false"]), "", 400, "BODY_EMPTY"),
        Row("8", "open", [:], "x", 400, "CONTENT_TYPE_MISSING"),
        Row("8", "open", ["Content-Type": ""], "x", 400, "CONTENT_TYPE_MISSING"),
        Row("8 before 10", "closed", [:], "x", 400, "CONTENT_TYPE_MISSING"),
        Row("9", "closed", with(producer(1, 7)), "whatever", 204),
        Row("10", "closed", text, "x", 409, "STREAM_CLOSED"),
        Row("10", "closed", with(producer(1, 6)), "x", 409, "STREAM_CLOSED"),
        Row("10 before 11", "closed", ["Content-Type": "text/html"], "x", 409, "STREAM_CLOSED"),
        Row("11", "open", ["Content-Type": "text/html"], "x", 409, "CONTENT_TYPE_MISMATCH"),
        Row("11", "open", ["Content-Type": "text"], "x", 409, "CONTENT_TYPE_MISMATCH"),
        Row("12", "open", with(producer(0, 0)), "x", 403, "PRODUCER_FENCED"),
        Row("13", "open", with(producer(2, 1)), "x", 400, "PRODUCER_EPOCH_INVALID"),
        Row("14", "open", with(producer(1, 2)), "x", 204),
        Row(
            "14 closes nothing", "open", with(producer(1, 4).merging(["Stream-Closed": "true"]) { $1 }), "x",
            204),
        Row("15", "open", with(producer(1, 6)), "x", 409, "PRODUCER_GAP"),
        Row("16", "open", with(["Stream-Seq": "m"]), "x", 409, "SEQUENCE_CONFLICT"),
        Row("17", "json", json, "{", 400, "JSON_INVALID"), Row("17", "json", json, " ", 400, "JSON_INVALID"),
        Row("18", "json", json, "[ ]", 400, "JSON_EMPTY"), Row("19", "open", text, "x", 204),
        Row("19", "open", with(producer(1, 5)), "x", 200),
        Row("19", "json", json, "[1,2]", 204),
        Row("19: closing", "open", with(["Stream-Closed": "true"]), "x", 204),
        Row("3.2.1 row 1", "open", ["Stream-Closed": "true"], "", 204),
        Row("3.2.1 row 1", "closed", ["Stream-Closed": "true"], "", 204),
        Row("3.2.1 row 2", "closed", producer(1, 7).merging(["Stream-Closed": "true"]) { $1 }, "", 204),
        Row(
            "3.2.1 row 3", "closed", producer(1, 8).merging(["Stream-Closed": "true"]) { $1 }, "", 409,
            "STREAM_CLOSED"),
        Row(
            "3.2.1 row 4", "open", producer(0, 8).merging(["Stream-Closed": "true"]) { $1 }, "", 403,
            "PRODUCER_FENCED"),
        Row(
            "3.2.1 row 5", "open", producer(2, 8).merging(["Stream-Closed": "true"]) { $1 }, "", 400,
            "PRODUCER_EPOCH_INVALID"),
        Row("3.2.1 row 6", "open", producer(1, 4).merging(["Stream-Closed": "true"]) { $1 }, "", 204),
        Row(
            "3.2.1 row 7", "open", producer(1, 9).merging(["Stream-Closed": "true"]) { $1 }, "", 409,
            "PRODUCER_GAP"),
        Row("3.2.1 row 8", "open", producer(1, 5).merging(["Stream-Closed": "true"]) { $1 }, "", 204),
    ]

    @Test(arguments: rows)
    func table(row: Row) throws {
        let server = try Server()
        try server.put("open")
        try server.put("closed")
        try server.put("json", "", Self.json)
        for sequence in 0...4 {
            try server.post(
                "open", "x", producer(1, Int64(sequence)).merging(["Stream-Seq": "m\(sequence)"]) { $1 })
        }
        for sequence in 0...7 {
            let closes = ["Stream-Closed": sequence == 7 ? "true" : ""]
            try server.post("closed", "x", producer(1, Int64(sequence)).merging(closes) { $1 })
        }
        let before = try server.send(.head, row.path)
        let answer = try server.send(.post, row.path, row.headers, row.body)
        #expect(answer.status == row.status)
        #expect(answer.code == row.code)
        let names = Set(answer.headers.map(\.name)).subtracting(["Content-Type", "Cache-Control"])
        if let code = row.code {
            #expect(names == Self.allowed[code] ?? [])
            let after = try server.send(.head, row.path)
            #expect(after["Stream-Next-Offset"] == before["Stream-Next-Offset"])
            #expect(after["Stream-Closed"] == before["Stream-Closed"])
        } else {
            #expect(answer["Stream-Next-Offset"] == (try server.send(.head, row.path))["Stream-Next-Offset"])
            #expect(names.contains("Producer-Epoch") == (row.headers["Producer-Id"] != nil))
            #expect(names.contains("Producer-Seq") == (row.headers["Producer-Id"] != nil))
            #expect(answer["Stream-Closed"] == (try server.send(.head, row.path))["Stream-Closed"])
        }
    }

    @Test func producerHeadersSayWhatIsStored() throws {
        let server = try Server()
        try server.put("s")
        for sequence in Int64(0)...2 {
            #expect(try server.post("s", "abc", producer(2, sequence)).status == 200)
        }
        let duplicate = try server.post("s", "other", producer(2, 0))
        #expect(duplicate.status == 204 && duplicate.next == 9)
        #expect(duplicate["Producer-Epoch"] == "2" && duplicate["Producer-Seq"] == "2")
        let gap = try server.post("s", "x", producer(2, 5))
        #expect(gap["Producer-Expected-Seq"] == "3" && gap["Producer-Received-Seq"] == "5")
        #expect(try server.post("s", "x", producer(1, 3))["Producer-Epoch"] == "2")
        #expect(try server.send(.get, "s").body == "abcabcabc")
    }
}
