import StreamProtocol
import Testing

/// PROTOCOL sections 3.0, 4.3 and 13.4.
@Suite struct RequestTargetTests {
    @Test(
        arguments: [
            ("/v1/stream/a", "_default/a"), ("/v1/stream/rooms/lobby", "_default/rooms/lobby"),
            ("/v1/stream/a.b/c..d/...", "_default/a.b/c..d/..."), ("/v1/stream/%61", "_default/a"),
            ("/v1/stream/%7Ea%2D%2e%5fZ", "_default/~a-._Z"), ("/v1/stream/a%20b", "_default/a%20b"),
            ("/v1/stream/a%3ab", "_default/a%3Ab"),
            ("/v1/stream/a:b@c!$&'()*+,;=", "_default/a:b@c!$&'()*+,;="),
            ("/v1/stream/%c3%a9", "_default/%C3%A9"), ("/v1/stream/é", "_default/%C3%A9"),
            ("/v1/stream/a%25b", "_default/a%25b"), ("/v1/stream/%252e", "_default/%252e"),
            ("/v1/stream/a%3Fb", "_default/a%3Fb"), ("/v1/stream/a%23b", "_default/a%23b"),
            ("/v1/stream/__dsx", "_default/__dsx"), ("/v1/stream/a/__ds", "_default/a/__ds"),
            ("/v1/shop/stream/a/b", "shop/a/b"), ("/v1/%73hop/%73tream/a", "shop/a"),
            ("/v1/stream/stream/a", "_default/stream/a"),
            ("/v1/a-b_c.d~1/stream/x", "a-b_c.d~1/x"), ("/%761/stream/a", "_default/a"),
        ] as [(String, String)])
    func stream(path: String, name: String) {
        #expect(RequestTarget(raw: path).route == .stream(StreamName(text: name)))
        #expect(RequestTarget.route(path: path) == .stream(StreamName(text: name)))
    }

    @Test(arguments: [
        "/v1/stream/.", "/v1/stream/..", "/v1/stream/a/../b", "/v1/stream/a/./b", "/v1/stream/a/..",
        "/v1/stream/%2e",
        "/v1/stream/%2E%2e/a", "/v1/stream/.%2e", "/v1/stream/a//b", "/v1/stream//a", "/v1/stream/a/",
        "/v1//stream/a",
        "//v1/stream/a", "/v1/stream/a%2Fb", "/v1/stream/a%2fb", "/v1/stream/a%5Cb", "/v1/stream/a%5cb",
        "/v1/stream/a\\b", "/v1/stream/%00", "/v1/stream/a%0Ab", "/v1/stream/a%0d", "/v1/stream/%1F",
        "/v1/stream/%7F",
        "/v1/stream/a\u{1}b", "/v1/stream/a\u{7F}", "/v1/stream/%", "/v1/stream/%2", "/v1/stream/%zz",
        "/v1/stream/%2x",
        "/v1/stream/a%", "/v1/stream/%c3", "/v1/stream/%ff", "/v1/stream/%C0%AF", "/v1/stream/%ed%a0%80",
        "/v1/stream/%f5%80%80%80", "/v1/stream/%80", "/v1/../etc/passwd", "/..", "/v1/shop/stream/a/../b",
        "/v1/./stream/a",
        "/v1/shop/stream/a/", "/v1/stream/../stream/a", "/v1/stream/%c3/%a9", "/v1/stream/a/%2e%2E/b",
    ])
    func unsafe(path: String) {
        #expect(RequestTarget(raw: path).route == .unsafe)
    }

    @Test(arguments: [
        "/", "", "*", "/v1", "/v1/", "/v1/stream", "/v1/stream/", "/v2/stream/a", "/V1/stream/a",
        "/v1/streams/a",
        "/v1/Stream/a", "/stream/a", "/v1/shop/stream", "/v1/shop/stream/", "/v1/shop/x/a",
        "/v1/sh%20op/stream/a",
        "/v1/sh@op/stream/a", "/favicon.ico", "/healthz/x", "v1/stream/a", "/v1/%C3%A9/stream/a",
        "/v1/\(String(repeating: "p", count: 65))/stream/a", "/HEALTHZ", "http://h/v1/stream",
    ])
    func unknown(path: String) {
        #expect(RequestTarget(raw: path).route == .unknown)
    }

    @Test(arguments: [
        "/v1/stream/__ds", "/v1/stream/__ds/", "/v1/stream/__ds/subscriptions/x",
        "/v1/stream/%5F%5fds/jwks.json",
        "/v1/shop/stream/__ds/x", "/v1/stream/__ds?x=1",
    ])
    func control(path: String) {
        // A slash at the end is an empty segment, as everywhere.
        #expect(
            RequestTarget(raw: path).route
                == (path.hasSuffix("/")
                    ? .unsafe : .control(project: path.contains("shop") ? "shop" : "_default")))
    }

    @Test func probes() {
        #expect(RequestTarget(raw: "/healthz").route == .health)
        #expect(RequestTarget(raw: "/readyz?verbose").route == .ready)
        #expect(RequestTarget(raw: "/health%7A").route == .health)
    }

    @Test func aLongProjectName() {
        let name = String(repeating: "p", count: 64)
        #expect(
            RequestTarget(raw: "/v1/\(name)/stream/a").route == .stream(StreamName(project: name, path: "a")))
    }

    @Test(
        arguments: [
            ("/v1/stream/a", "/v1/stream/a", nil), ("/v1/stream/a?", "/v1/stream/a", ""),
            ("/v1/stream/a?b?c", "/v1/stream/a", "b?c"), ("/v1/stream/a?x=/../y", "/v1/stream/a", "x=/../y"),
            ("/v1/stream/%61?q", "/v1/stream/%61", "q"),
        ] as [(String, String, String?)])
    func split(raw: String, path: String, query: String?) {
        let target = RequestTarget(raw: raw)
        #expect(target.path == path)
        #expect(target.query == query)
        #expect(target.route == .stream(StreamName(project: StreamName.defaultProject, path: "a")))
    }

    @Test func lengths() {
        let prefix = "/v1/stream/"
        let longest = prefix + String(repeating: "a", count: RequestTarget.maximumPath - prefix.utf8.count)
        #expect(RequestTarget(raw: longest).route != .tooLong)
        #expect(RequestTarget(raw: longest + "a").route == .tooLong)
        // Counted in bytes as they came.
        let accented =
            prefix + String(repeating: "é", count: (RequestTarget.maximumPath - prefix.utf8.count) / 2 + 1)
        #expect(RequestTarget(raw: accented).route == .tooLong)
        let query = String(repeating: "q", count: RequestTarget.maximumQuery)
        #expect(RequestTarget(raw: longest + "?" + query).route != .tooLong)
        #expect(RequestTarget(raw: prefix + "a?" + query + "q").route == .tooLong)
    }

    @Test func equalNamesAreTheSameStream() {
        let spellings = ["/v1/stream/a~%C3%A9", "/v1/stream/%61%7e%c3%a9", "/v1/stream/a~é"]
        #expect(Set(spellings.map { "\(RequestTarget(raw: $0).route)" }).count == 1)
        #expect(RequestTarget(raw: "/v1/stream/a").route != RequestTarget(raw: "/v1/stream/A").route)
        #expect(RequestTarget(raw: "/v1/a/stream/b").route != RequestTarget(raw: "/v1/stream/a/b").route)
    }
}
