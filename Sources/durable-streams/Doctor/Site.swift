import Glibc
import StreamClient
import StreamStore

/// A deployment as its clients see it. Used on one thread; ``Caller`` goes to others.
final class Site {
    /// Who asks.
    enum Identity {
        /// With the token and the headers given.
        case own
        /// Without a token.
        case nobody
        /// With another token.
        case bearer(String)
    }

    /// Where, and with what.
    let address: SiteAddress
    /// What the token given says of itself; nil without one, and for one of another kind.
    let claims: SiteClaims?
    /// An existing stream for reads, where none can be made.
    let existing: String?
    /// A page's origin that must be let in.
    let origin: String?
    /// The largest body that the server is to take, in bytes.
    let largestBody: Int
    /// The URL that should lead to https.
    let plainURL: String?
    /// What was measured on the way, for the report.
    var measured: [(name: String, value: JSONValue)] = []
    /// Headers of requests that do not arrive.
    var lostHeaders: [String] = []
    /// A stream of several pieces with its first offset, once one was made.
    var longStream: (target: String, start: String)?
    /// Whether the server gets no queries.
    var isQueryLost = false
    /// Whether streams can be made.
    var mayWrite = false
    /// Whether a read without a token is refused.
    var isGuarded = false
    /// Reads that wait beside the other checks.
    var waiting: WaitingReads?
    /// The first answer on a new connection.
    var first: HTTPResponse?

    private(set) var caller: Caller
    private var made: [String] = []
    private let folder = "__doctor-" + String(UInt64.random(in: 1 << 60 ... .max), radix: 16)

    init(_ options: DoctorOptions, url: String, largestBody known: Int?) throws(Obstacle) {
        address = SiteAddress(url: url, project: options.project, token: options.credential)
        claims = options.credential.flatMap(SiteClaims.init)
        existing = options.stream
        origin = options.origin
        largestBody = options.maxBody.map { Int($0.bytes) } ?? known ?? Site.defaultBody
        plainURL = options.plainURL ?? address.usualPlainURL
        var client = HTTPOptions()
        client.caFile = options.cacert
        client.wantsCertificates = true
        client.userAgent = "durable-streams-doctor"
        caller = try Caller(
            Caller.Recipe(
                options: client, fields: HTTPFields(options.headers.compactMap { HTTPField(line: $0) }),
                token: options.credential))
    }

    /// `max_body_bytes` of a server that says nothing else.
    private static let defaultBody = 16 << 20

    /// Goes on with another client.
    func use(_ other: Caller) { caller = other }

    /// The target of one of our own streams.
    func target(_ name: String) -> String { "\(address.streams)/\(claims?.prefix ?? "")\(folder)/\(name)" }

    /// Asks something of the origin, by path and query.
    func send(
        _ method: String, _ target: String, _ fields: HTTPFields = [], body: HTTPRequest.Body = .none,
        as identity: Identity = .own, callbacks: HTTPClient.Callbacks? = nil
    ) throws(Obstacle) -> HTTPResponse {
        if method == "PUT" { made.append(String(target.prefix { $0 != "?" })) }
        return try caller.send(
            method, address.origin + target, fields, body: body, as: identity, callbacks: callbacks)
    }

    /// Makes a stream of text that goes by itself should nobody delete it.
    ///
    /// - Throws: `skipped` when the server does not make it: the checks of writes have told why.
    func makeStream(
        _ name: String, body: String = "", type: String = "text/plain", _ fields: HTTPFields = []
    ) throws(Obstacle) -> String {
        let target = target(name)
        var all = HTTPFields(fields.list + [HTTPField("Content-Type", type)])
        if fields["Stream-TTL"] == nil { all.add("Stream-TTL", "600") }
        let answer = try send("PUT", target, all, body: .bytes(Array(body.utf8)))
        guard answer.status == 201 else { throw .skipped("no stream could be made: \(answer.line)") }
        return target
    }

    /// Adds text to a stream.
    @discardableResult
    func append(
        _ text: String, to target: String, _ fields: HTTPFields = []
    ) throws(Obstacle) -> HTTPResponse {
        try send(
            "POST", target, HTTPFields(fields.list + [HTTPField("Content-Type", "text/plain")]),
            body: .bytes(Array(text.utf8)))
    }

    /// A stream for reads: of our own, or the one that was named.
    func readable(_ name: String, body: String) throws(Obstacle) -> String {
        if mayWrite { return try makeStream(name, body: body) }
        guard let existing else { throw .skipped("no stream to read: name one with --stream") }
        return "\(address.streams)/\(existing)"
    }

    /// Deletes what was made, also when somebody wants to stop.
    func cleanUp() {
        caller.ignoresInterruption = true
        for target in made.reversed() {
            guard (try? caller.send("DELETE", address.origin + target, [], timeLimit: 5)) != nil else {
                return
            }
        }
        made = []
    }
}

extension HTTPResponse {
    /// The status with the code of our errors, or what else came.
    var line: String {
        if let code { return "\(status) \(code)" }
        guard let type = fields["Content-Type"] else { return "\(status)" }
        return "\(status) (\(type.prefix { $0 != ";" }))"
    }

    /// The code of an error of ours; nil for other answers.
    var code: String? {
        let start = #"{"error":{"code":""#
        guard text.hasPrefix(start) else { return nil }
        return String(text.dropFirst(start.count).prefix { $0 != "\"" })
    }

    /// Whether the body is a page for people, and so from somebody else.
    var isPage: Bool { fields["Content-Type"]?.lowercased().hasPrefix("text/html") == true }
}
