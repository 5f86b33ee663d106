import ArgumentParser
import Glibc
import ServerSettings
import StreamClient
import StreamProtocol
import Supervision

/// Where a running server is, and how it is asked: what all commands that are its clients have in common.
struct ServerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The server. Default: DS_URL, else where this machine's settings have it listen.",
            valueName: "origin"))
    var url: String?

    @Option(help: "The project of a stream that is given by its path. Default: the one of /v1/stream/….")
    var project: String?

    @Option(
        help: ArgumentHelp(
            "A token for the header Authorization. Others can see it in the list of processes: better DS_TOKEN or a file.",
            valueName: "token"))
    var token: String?

    @Option(
        help: ArgumentHelp("A file that holds the token; read again with each request.", valueName: "path"),
        completion: .file())
    var tokenFile: String?

    @Option(
        name: [.customShort("H"), .customLong("header")],
        help: ArgumentHelp("One more header field. May be given more than once.", valueName: "name: value"))
    var headers: [String] = []

    @Option(
        help: ArgumentHelp(
            "Certificates (PEM) that are trusted in place of the system's.", valueName: "path"),
        completion: .file())
    var cacert: String?

    @Option(help: ArgumentHelp("How long an answer may keep us waiting.", valueName: "seconds"))
    var timeout = CountArgument(60)

    func validate() throws {
        for header in headers where HTTPField(line: header) == nil {
            throw ValidationError("--header takes `Name: value`, not \(header.debugDescription).")
        }
        if let project, !StreamName.isProjectName(project.utf8) {
            throw ValidationError("--project: \(project.debugDescription) is no name of a project.")
        }
        guard (1...86_400).contains(timeout.value) else {
            throw ValidationError("--timeout takes seconds from 1 to 86400.")
        }
        if token != nil, tokenFile != nil { throw ValidationError("Give --token or --token-file, not both.") }
    }

    /// A client for these options, or one line and the status that fits.
    func client() -> HTTPClient {
        if let cacert, access(cacert, R_OK) != 0 {
            Command.end(EX_NOINPUT, "\(cacert): \(String(cString: strerror(errno)))")
        }
        var options = HTTPOptions()
        options.caFile = cacert
        options.userAgent = DurableStreams.configuration.version.split(separator: " ").joined(separator: "/")
        do throws(ClientError) {
            return try HTTPClient(options)
        } catch {
            Command.fail(error)
        }
    }

    /// The URL of a stream: the text itself when it is one, else its path below the project.
    func streamURL(_ stream: String) -> String {
        if stream.hasPrefix("http://") || stream.hasPrefix("https://") {
            if project != nil {
                Command.end(EX_USAGE, "--project goes with a path; \(stream) is a whole URL")
            }
            return stream
        }
        if stream.hasPrefix("/v1/") { return origin + stream }
        let path = PercentEncoding.path(stream.drop { $0 == "/" })
        guard !path.isEmpty else { Command.end(EX_USAGE, "a stream has a path, such as orders/7") }
        return origin + "/v1/" + (project.map { "\($0)/" } ?? "") + "stream/" + path
    }

    /// The server's origin, and what stands before `/v1`, without a slash at its end.
    private var origin: String {
        var origin = url ?? Command.environment["DS_URL"].flatMap { $0.isEmpty ? nil : $0 } ?? localOrigin
        while origin.hasSuffix("/") { origin.removeLast() }
        return origin
    }

    private var localOrigin: String {
        let settings = Command.loadSettings([])
        let port = settings.listen.port
        switch settings.listen.host {
        case "0.0.0.0": return "http://127.0.0.1:\(port)"
        case "::": return "http://[::1]:\(port)"
        default: return "http://\(settings.listen)"
        }
    }

    /// The fields of each request.
    func fields(_ more: HTTPFields = []) -> HTTPFields {
        var fields = more
        if let token = currentToken { fields.add("Authorization", "Bearer \(token)") }
        for header in headers {
            if let field = HTTPField(line: header) { fields.list.append(field) }
        }
        return fields
    }

    private var currentToken: String? {
        if let tokenFile {
            guard let bytes = try? SmallFile.read(tokenFile, most: 65_536) else {
                Command.end(EX_NOINPUT, "token file \(tokenFile): \(String(cString: strerror(errno)))")
            }
            return checked(String(decoding: bytes, as: UTF8.self), from: tokenFile)
        }
        if let token { return checked(token, from: "--token") }
        return Command.environment["DS_TOKEN"].flatMap { $0.isEmpty ? nil : checked($0, from: "DS_TOKEN") }
    }

    private func checked(_ text: String, from origin: String) -> String {
        let token = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        guard !token.isEmpty, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            Command.end(EX_DATAERR, "\(origin) holds no token: one word of visible characters")
        }
        return token
    }
}

/// Writes a path into a URL (RFC 3986 section 3.3).
enum PercentEncoding {
    private static let plain = Set("-._~!$&'()*+,;=:@/".utf8)

    /// Each byte that may not stand in a path becomes `%XX`, `%` too: the text is meant as it is.
    static func path(_ text: some StringProtocol) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                result.append(byte)
            case _ where plain.contains(byte): result.append(byte)
            default: result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
