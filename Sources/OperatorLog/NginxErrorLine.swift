import ServerSettings

/// A line of nginx's error log without what must not be in a log.
///
/// nginx ends a line about a request with the request line, the address asked for upstream, and the page that led to
/// it: with queries, and they may hold reader keys. Its format can't be changed.
public struct NginxErrorLine: Sendable, Equatable {
    /// How serious it is.
    public var level: LogLevel
    /// The number of nginx's process; nil for what nginx says before it has read its configuration.
    public var identifier: Int32?
    /// The line, without time, level and process where it has them.
    public var message: String
    /// The whole line as nginx writes it, without its secrets.
    public var text: String

    /// Takes a line of nginx, without its end.
    public init(_ bytes: some Collection<UInt8>) {
        let line = NginxErrorLine.redacted(String(decoding: bytes, as: UTF8.self))
        text = line
        message = line
        level = .error
        // 2026/01/31 12:00:00 [error] 123#123: …, or nginx: [emerg] …
        guard let open = line.firstRange(of: "["), let close = line[open.upperBound...].firstRange(of: "] "),
            let known = NginxErrorLine.levels[String(line[open.upperBound..<close.lowerBound])]
        else { return }
        let before = line[..<open.lowerBound]
        guard before == "nginx: " || (before.utf8.count == 20 && before.utf8.first.map(isDigit) ?? false)
        else { return }
        level = known
        message = String(line[close.upperBound...])
        let digits = message.prefix { $0.isASCII && $0.isNumber }
        if let number = Int32(digits), message[digits.endIndex...].hasPrefix("#"),
            let colon = message.firstRange(of: ": ")
        {
            identifier = number
            message = String(message[colon.upperBound...])
        }
    }

    private static let levels: [String: LogLevel] = [
        "emerg": .critical, "alert": .critical, "crit": .critical, "error": .error, "warn": .warning,
        "notice": .notice, "info": .info, "debug": .debug,
    ]

    private static func redacted(_ line: String) -> String {
        guard let request = line.firstRange(of: ", request: \"") else {
            // What is wrong with a configuration has question marks of its own.
            let isOfRequest =
                line.firstRange(of: "[emerg] ") == nil || line.firstRange(of: ", client: ") != nil
            return isOfRequest ? withoutQueries(line[...]) : line
        }
        // Behind it everything may be the client's words; what is kept of it ends where a query may begin.
        var result = withoutQueries(line[..<request.lowerBound])
        let rest = line[request.upperBound...]
        let words = rest.prefix { $0 != "?" && $0 != "\"" }.split(separator: " ", maxSplits: 2)
        result += ", request: \"\(words.prefix(2).joined(separator: " "))\""
        if let upstream = rest.firstRange(of: ", upstream: \"") {
            result += ", upstream: \"\(rest[upstream.upperBound...].prefix { $0 != "?" && $0 != "\"" })\""
        }
        return result
    }

    /// Cuts out whatever follows a question mark up to white space, and who tried a password.
    private static func withoutQueries(_ text: Substring) -> String {
        var result = ""
        var rest = text
        while let mark = rest.firstIndex(of: "?") {
            result += rest[...mark]
            rest = rest[mark...].drop { $0 != " " }
        }
        result += rest
        // A token in the wrong place would be a name.
        guard let user = result.firstRange(of: " user \"") else { return result }
        let outcome = [": password mismatch", " was not found"].first { result.firstRange(of: $0) != nil }
        return result[..<user.lowerBound] + " user \"…\"" + (outcome ?? "")
    }
}

private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
