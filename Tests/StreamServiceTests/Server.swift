import StreamProtocol
import StreamService
import StreamStore
import TestStore
import Testing

/// An answer, taken apart.
struct Answer {
    let status: Int
    let headers: [(name: String, value: String)]
    let body: String
    let response: ServiceResponse

    init(_ response: ServiceResponse) {
        self.response = response
        status = response.status
        body = String(decoding: response.body, as: UTF8.self)
        let head = String(decoding: response.head, as: UTF8.self).replacing("\r\n", with: "\n")
        headers = head.split(separator: "\n").map { line in
            let parts = line.split(separator: ": ", maxSplits: 1)
            return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
        }
        #expect(
            Set(headers.map { $0.name.lowercased() }).count == headers.count, "a header stands twice: \(head)"
        )
    }

    subscript(name: String) -> String? { headers.first { $0.name == name }?.value }

    /// The position of `Stream-Next-Offset`.
    var next: Int64? { self["Stream-Next-Offset"].flatMap { Offset(Array($0.utf8)) }?.position }

    /// The code of an error; nil unless the body has the shape of PROTOCOL section 12.2.
    var code: String? {
        guard self["Content-Type"] == "application/json", self["Cache-Control"] == "no-store",
            JSONMessages(body: response.body)?.count == 1,
            let match = body.wholeMatch(of: /\{"error":\{"code":"([A-Z0-9_]+)","message":"([^"\\]+)"\}\}/)
        else { return nil }
        return String(match.1)
    }
}

/// The service over a real store, with a clock that stands still; for one test and one thread.
struct Server {
    let clock: TestClock
    let store: TestStore
    let reader: StoreReader
    let service: StreamService
    let live: LiveReads

    init(readChunk: Int = 65_536, publicURL: String? = nil) throws {
        let clock = TestClock()
        self.clock = clock
        store = try TestStore()
        reader = try store.reader()
        service = StreamService(
            options: StreamService.Options(
                maximumBody: 1_000, readChunk: readChunk, publicURL: publicURL, clock: { clock.now }),
            committer: store.committer)
        live = LiveReads(service)
    }

    static let fields = Dictionary(uniqueKeysWithValues: HeaderField.allCases.map { ($0.name, $0) })

    /// A request to a path below the default stream root, or to any path that begins with a slash.
    static func request(
        _ method: Method, _ path: String, _ headers: [String: String] = [:], _ body: String = ""
    ) throws -> ServiceRequest {
        var fields = RequestHeaders()
        for (name, value) in headers { fields.add(try #require(Server.fields[name.lowercased()]), value) }
        let target = RequestTarget(raw: path.hasPrefix("/") ? path : "/v1/stream/\(path)")
        return ServiceRequest(method: method, target: target, headers: fields, body: Array(body.utf8))
    }

    /// Sends a request; touches that nobody waits for are durable when this returns.
    @discardableResult
    func send(_ request: ServiceRequest) throws -> Answer {
        let answers = Mailbox<ServiceResponse>()
        service.handle(request, reader: reader) { answers.deliver($0) }
        let answer = try #require(answers.collect(1)?.first)
        try settle()
        #expect(answers.received.count == 1)
        return Answer(answer)
    }

    /// Sends a request.
    @discardableResult
    func send(
        _ method: Method, _ path: String, _ headers: [String: String] = [:], _ body: String = ""
    ) throws -> Answer {
        try send(Server.request(method, path, headers, body))
    }

    /// Creates a stream of plain text, unless told otherwise.
    @discardableResult
    func put(_ path: String, _ body: String = "", _ headers: [String: String] = [:]) throws -> Answer {
        try send(.put, path, ["Content-Type": "text/plain"].merging(headers) { $1 }, body)
    }

    /// Appends plain text, unless told otherwise.
    @discardableResult
    func post(_ path: String, _ body: String, _ headers: [String: String] = [:]) throws -> Answer {
        try send(.post, path, ["Content-Type": "text/plain"].merging(headers) { $1 }, body)
    }

    /// Opens a live read.
    func open(_ path: String, _ headers: [String: String] = [:]) throws -> LiveReads.Opening {
        let opening = live.open(try Server.request(.get, path, headers), reader: reader)
        try settle()
        return opening
    }

    /// Waits for what was submitted before.
    func settle() throws { try store.committer.perform { _ in } }
}

/// The headers of a producer's request.
func producer(_ epoch: Int64, _ sequence: Int64, id: String = "p") -> [String: String] {
    ["Producer-Id": id, "Producer-Epoch": String(epoch), "Producer-Seq": String(sequence)]
}
