import Glibc
import StreamAccess
import StreamClient
import Supervision

extension Command {
    /// The exit status of a command that the server has refused.
    static let refusedStatus: Int32 = 1

    /// Ends the process with one line and the status that fits (sysexits.h).
    static func fail(_ error: ClientError) -> Never {
        Console.error(error.message)
        switch error.kind {
        case .url: exit(EX_USAGE)
        case .lookup: exit(EX_NOHOST)
        case .refused: exit(EX_UNAVAILABLE)
        case .tls, .malformed: exit(EX_PROTOCOL)
        case .timeout, .lost: exit(EX_TEMPFAIL)
        case .local: exit(EX_IOERR)
        }
    }

    /// Ends the process with one line about an answer that is no success.
    static func refused(_ url: String, _ response: HTTPResponse) -> Never {
        Console.error("\(url): \(Refusal.text(response))")
        exit(300..<400 ~= response.status ? EX_PROTOCOL : refusedStatus)
    }
}

/// What a server says when it does not do what it was asked.
enum Refusal {
    /// Status, code and message on one line.
    static func text(_ response: HTTPResponse) -> String {
        if let location = response.fields["Location"], 300..<400 ~= response.status {
            return "\(response.status): it is at \(location)"
        }
        var text: String
        if let (code, message) = error(response.body) {
            text = "\(response.status) \(code): \(message)"
        } else {
            text = "\(response.status) \(response.head.reason)"
            while text.hasSuffix(" ") { text.removeLast() }
        }
        if let epoch = response.fields["Producer-Epoch"], response.status == 403 {
            text +=
                "; the newest epoch of this producer is \(epoch): begin a higher one with --producer-epoch"
        }
        if let earliest = response.fields["Stream-Earliest-Offset"] {
            text += "; what is left begins at \(earliest)"
        }
        if let seconds = response.fields["Retry-After"] { text += "; try again in \(seconds) seconds" }
        return text
    }

    /// Code and message of `{"error":{"code":…,"message":…}}`.
    private static func error(_ body: [UInt8]) -> (code: String, message: String)? {
        let text = String(decoding: body, as: UTF8.self)
        guard let start = text.range(of: "{\"error\":"), start.lowerBound == text.startIndex else {
            return nil
        }
        let inner = Array(text[start.upperBound...].dropLast().utf8)
        guard let members = try? JSONMembers(inner), case .string(let code)? = members["code"] else {
            return nil
        }
        guard case .string(let message)? = members["message"] else { return (code, "") }
        // What a server says must not move the cursor of a terminal.
        let plain = String(
            String.UnicodeScalarView(message.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }))
        return (code, plain)
    }

    /// Whether the same request may do later.
    static func isTemporary(_ response: HTTPResponse) -> Bool {
        [408, 429, 500, 502, 503, 504, 507].contains(response.status)
    }
}
