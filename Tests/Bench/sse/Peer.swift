import BenchCommon

/// Whom readers and writer talk to.
enum Peer: String {
    /// The server: readers at the tail of a stream.
    case server
    /// bench-writer in place of the live process, behind the same nginx.
    case writer
    /// An nginx with nchan.
    case nchan

    /// Whether streams have to be created.
    var creates: Bool { self == .server }
    /// Whether the first event tells that a subscription stands; else the head of the answer does.
    var greets: Bool { self != .nchan }

    /// Where messages go.
    func publishing(_ path: String) -> String {
        switch self {
        case .server: path
        case .writer: "/bench-publish"
        case .nchan: "/publish\(path)"
        }
    }

    /// The head of a request for events.
    func eventRequest(_ path: String, _ authority: String) -> String {
        let target = self == .nchan ? "/events\(path)" : "\(path)?live=sse&offset=now"
        return "GET \(target) HTTP/1.1\r\nHost: \(authority)\r\nAccept: text/event-stream\r\n\r\n"
    }

    /// The head of a long-poll for what comes behind the last answer.
    func pollRequest(_ path: String, _ authority: String, after last: PollPosition) -> String {
        let host = "HTTP/1.1\r\nHost: \(authority)\r\n"
        guard self == .nchan else {
            let cursor = last.second.isEmpty ? "" : "&cursor=\(last.second)"
            return "GET \(path)?live=long-poll&offset=\(last.first)\(cursor) \(host)\r\n"
        }
        guard !last.first.isEmpty else { return "GET /poll\(path) \(host)\r\n" }
        return
            "GET /poll\(path) \(host)If-Modified-Since: \(last.first)\r\nIf-None-Match: \(last.second)\r\n\r\n"
    }

    /// Names of the headers that tell where to go on, in lower case.
    var positionHeaders: (first: String, second: String) {
        self == .nchan ? ("last-modified", "etag") : ("stream-next-offset", "stream-cursor")
    }
}

/// Where a long-poll goes on: two values that the last answer gave.
struct PollPosition {
    /// The offset, or the time of the last message.
    var first = ""
    /// The cursor, or the entity tag.
    var second = ""
}
