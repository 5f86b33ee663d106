import Glibc
import StreamAccess
import StreamClient
import StreamProtocol
import Supervision

/// Reads a stream to its end, or for ever, and writes it to standard output. What was written once is never written
/// again: its place moves on only with whole parts, behind their writing.
final class StreamReader {
    private let url: String
    private let calls: StreamCalls
    /// A second connection, for exact bytes while the first one tells of them.
    private let exact: StreamCalls
    private let file: OffsetFile?
    private let writesArrays: Bool
    private let isQuiet: Bool
    private var retry: Retry

    private var offset: String
    /// Where the events of the present response are.
    private var position = ""
    private var cursor: String?
    private var mediaType = MediaType(contentType: MediaType.defaultContentType)
    private var isClosed = false
    private var hasAnswered = false

    init(
        _ server: ServerOptions, url: String, start: String, file: OffsetFile?, writesArrays: Bool,
        isQuiet: Bool,
        patience: Double?
    ) {
        self.url = url
        calls = StreamCalls(server)
        exact = StreamCalls(server)
        self.file = file
        self.writesArrays = writesArrays
        self.isQuiet = isQuiet
        offset = start
        retry = Retry(patience: patience)
    }

    /// Reads, and ends the process.
    func run(follows: Bool) -> Never {
        while true {
            do throws(ClientError) {
                try catchUp(calls)
                if isClosed || !follows { finish(0) }
                try listen()
                if isClosed { finish(0) }
            } catch {
                checkWanted()
                guard error.isTemporary, hasAnswered else { end(error) }
                guard retry.wait(while: { Output.isWanted }) else {
                    checkWanted()
                    end(error)
                }
            }
        }
    }

    /// What ends a transfer from this side.
    private var callbacks: HTTPClient.Callbacks {
        HTTPClient.Callbacks(goesOn: { !StopSignal.hasCome && Output.isWanted })
    }

    /// Ends the process when a signal came or nobody reads any more.
    private func checkWanted() {
        if StopSignal.hasCome { finish(0) }
        if !Output.isWanted { Output.endBySignal(SIGPIPE) }
    }

    private func end(_ error: ClientError) -> Never {
        tellOffset()
        Command.fail(error)
    }

    private func finish(_ status: Int32) -> Never {
        tellOffset()
        StopSignal.end()
        exit(status)
    }

    private func tellOffset() {
        guard file == nil, !isQuiet, hasAnswered else { return }
        Console.note("next offset: \(offset)")
    }

    // MARK: pieces

    /// Reads pieces until the tail.
    private func catchUp(_ calls: StreamCalls) throws(ClientError) {
        while !(try readPiece(calls)) { checkWanted() }
    }

    /// Reads one piece; true when nothing follows at the moment.
    private func readPiece(_ calls: StreamCalls) throws(ClientError) -> Bool {
        let response = try calls.read(StreamCalls.url(url, "offset=\(offset)"), callbacks)
        if response.isCut { throw ClientError(.lost, "interrupted") }
        guard response.status == 200, let next = response.fields["Stream-Next-Offset"],
            OffsetFile.isOffset(next)
        else { throw try refusal(response) }
        hasAnswered = true
        retry.succeeded()
        mediaType = MediaType(contentType: response.fields["Content-Type"] ?? MediaType.defaultContentType)
        write(response.body)
        advance(to: next)
        isClosed = response.fields["Stream-Closed"] == "true"
        return response.fields["Stream-Up-To-Date"] == "true"
    }

    /// The error of an answer that is worth another try; any other ends the process.
    private func refusal(_ response: HTTPResponse) throws(ClientError) -> ClientError {
        if response.status == 200 {
            return ClientError(.malformed, "\(url): the answer has no Stream-Next-Offset: is it a stream?")
        }
        guard Refusal.isTemporary(response), hasAnswered else {
            tellOffset()
            Command.refused(url, response)
        }
        // The pause that the server asks for comes before the one of the retry.
        _ = StopSignal.sleep(Retry.asked(response) ?? 0, while: { Output.isWanted })
        return ClientError(.lost, "\(url): \(Refusal.text(response))")
    }

    private func write(_ body: [UInt8]) {
        guard mediaType.isJSON else { return body.withUnsafeBytes { Output.write($0) } }
        let messages = MessageArray.messages(body) ?? []
        guard !messages.isEmpty else { return }
        let lines = writesArrays ? MessageArray.line(body[...]) : messages.flatMap { MessageArray.line($0) }
        lines.withUnsafeBytes { Output.write($0) }
    }

    private func advance(to next: String) {
        guard next != offset else { return }
        offset = next
        file?.save(next)
    }

    // MARK: events

    /// Follows the stream in one response of server-sent events.
    private func listen() throws(ClientError) {
        position = offset
        var parser = ServerEventParser()
        var data: [UInt8]?
        var isBase64 = false
        var isStream = false
        var failure: ClientError?
        var callbacks = self.callbacks
        callbacks.onHead = { head in
            isStream = head.status == 200
            isBase64 = head.fields["Stream-SSE-Data-Encoding"] == "base64"
            return true
        }
        var refused: [UInt8] = []
        callbacks.onBody = { bytes in
            guard isStream else {
                refused.append(contentsOf: bytes)
                return true
            }
            for event in parser.take(bytes) {
                switch event.type {
                case "data": data = event.data
                case "control":
                    do throws(ClientError) {
                        try self.control(event.data, data, isBase64: isBase64)
                    } catch {
                        failure = error
                        return false
                    }
                    data = nil
                default: break
                }
            }
            return true
        }
        let query = (cursor.map { "cursor=\($0)&" } ?? "") + "live=sse&offset=\(offset)"
        var response = try calls.read(StreamCalls.url(url, query), callbacks)
        if let failure { throw failure }
        if !isStream {
            response.body = refused
            throw try refusal(response)
        }
        if response.isCut { throw ClientError(.lost, "interrupted") }
        // A server that ends responses without a word is not to be asked again at once.
        if parser.isUntouched { throw ClientError(.lost, "\(url): the server ends event streams at once") }
    }

    /// Takes a control event with the data before it.
    private func control(_ text: [UInt8], _ data: [UInt8]?, isBase64: Bool) throws(ClientError) {
        guard let members = try? JSONMembers(text), case .string(let next)? = members["streamNextOffset"],
            OffsetFile.isOffset(next)
        else { throw ClientError(.malformed, "\(url): a control event without streamNextOffset") }
        retry.succeeded()
        defer { position = next }
        // Exact reads may have gone ahead of the events.
        guard next > offset || data == nil else { return }
        if let data {
            if isBase64 {
                guard let bytes = Base64.decode(data) else {
                    throw ClientError(.malformed, "\(url): data that are no base64")
                }
                write(bytes)
            } else if mediaType.isJSON {
                write(data)
            } else if data.contains(0x0A) || data.contains(0xEF) || position != offset {
                // Events keep neither the kind of a line break nor bytes that are no text.
                while offset < next, try !readPiece(exact) {}
            } else {
                write(data)
            }
        }
        if next > offset { advance(to: next) }
        if case .string(let given)? = members["streamCursor"], OffsetFile.isOffset(given) { cursor = given }
        if case .bool(true)? = members["streamClosed"] { isClosed = true }
    }
}
