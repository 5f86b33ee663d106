import StreamProtocol
import StreamService
import StreamStore
import TestStore
import Testing

/// A read that was answered before gets what it would get for the first time, whatever others asked in between.
@Suite struct RepeatedReadTests {
    /// All that is said, as one text.
    private func said(_ answer: Answer) -> String {
        "\(answer.status) \(answer.headers.map { "\($0.name): \($0.value)" }) \(answer.body)"
    }

    @Test func answersDoNotDependOnWhoAskedBefore() throws {
        let server = try Server()
        try server.put("s", "abc")
        let target = "s?offset=\(Offset(incarnation: 1, position: 1).text)"
        let tag = try #require(try server.send(.get, target)["ETag"])
        let questions: [[String: String]] = [
            [:], ["Authorization": "Bearer x"], ["If-None-Match": tag], ["If-None-Match": #""other""#],
            ["If-None-Match": "W/\(tag), \"x\""], ["Authorization": "Bearer x", "If-None-Match": tag],
        ]
        // A server of its own for each has nothing prepared.
        let first = try questions.map { headers in
            let fresh = try Server()
            try fresh.put("s", "abc")
            return said(try fresh.send(.get, target, headers))
        }
        #expect(Set(first).count == 4)
        for step in [1, 5, 3, 2, 4] {
            for number in 0..<12 {
                let index = number * step % questions.count
                #expect(said(try server.send(.get, target, questions[index])) == first[index])
            }
        }
    }

    @Test func appendAndClosureAreSeen() throws {
        let server = try Server()
        try server.put("s", "abc")
        let target = "s?offset=\(Offset(incarnation: 1, position: 1).text)"
        for _ in 0..<3 { #expect(try server.send(.get, target).body == "bc") }
        let tag = try #require(try server.send(.get, target)["ETag"])
        try server.post("s", "d")
        for _ in 0..<3 {
            let answer = try server.send(.get, target, ["If-None-Match": tag])
            #expect(answer.status == 200 && answer.body == "bcd" && answer.next == 4)
        }
        let longer = try #require(try server.send(.get, target)["ETag"])
        try server.send(.post, "s", ["Stream-Closed": "true"])
        for _ in 0..<3 {
            let answer = try server.send(.get, target, ["If-None-Match": longer])
            #expect(answer.status == 200 && answer["Stream-Closed"] == "true")
        }
    }

    @Test func offsetsOfOtherIncarnationsAreRefused() throws {
        let server = try Server()
        try server.put("s", "abc")
        func read(_ incarnation: Int64) throws -> Answer {
            try server.send(.get, "s?offset=\(Offset(incarnation: incarnation, position: 1).text)")
        }
        for _ in 0..<2 {
            let own = try read(1)
            #expect(own.status == 200)
            #expect(try read(2).status == 410)
            // Any incarnation has this position; it is asked for by another name, so it has another tag.
            let any = try read(0)
            #expect(any.status == 200 && any.body == own.body && any["ETag"] != own["ETag"])
        }
    }

    /// What is left of a lifetime is in the answer.
    @Test func agesAreThoseOfTheMoment() throws {
        let server = try Server()
        let end = server.clock.now + 60_000
        try server.put("s", "abc", ["Stream-Expires-At": Timestamp.text(milliseconds: end)])
        let target = "s?offset=\(Offset(incarnation: 1, position: 1).text)"
        #expect(try server.send(.get, target)["Cache-Control"] == "public, max-age=60")
        server.clock.advance(by: 20_000)
        #expect(try server.send(.get, target)["Cache-Control"] == "public, max-age=40")
    }
}
