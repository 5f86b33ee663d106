import CCurl
import Glibc

/// A synchronous HTTP client that keeps its connection from request to request. One thread at a time may use it:
/// another thread takes another client. The first client of a process has it ignore SIGPIPE.
public final class HTTPClient {
    /// What is called while an exchange is under way, on the thread that waits for it.
    public struct Callbacks {
        /// When the head is there; false ends the exchange.
        public var onHead: (HTTPHead) -> Bool
        /// With each part of the body, as soon as it comes; false ends the exchange. Nil: the body is collected.
        public var onBody: ((UnsafeRawBufferPointer) -> Bool)?
        /// About once a second and whenever a signal has interrupted the waiting; false ends the exchange.
        public var goesOn: () -> Bool

        /// Callbacks; those not given never end an exchange.
        public init(
            onHead: @escaping (HTTPHead) -> Bool = { _ in true },
            onBody: ((UnsafeRawBufferPointer) -> Bool)? = nil,
            goesOn: @escaping () -> Bool = { true }
        ) {
            self.onHead = onHead
            self.onBody = onBody
            self.goesOn = goesOn
        }
    }

    private let handle: CurlHandle
    private let options: HTTPOptions

    /// - Throws: ``ClientError`` of kind `local` when libcurl can't be used.
    public init(_ options: HTTPOptions = HTTPOptions()) throws(ClientError) {
        handle = try CurlHandle()
        self.options = options
    }

    /// Sends a request and waits for the end of the answer. Redirections are answers like any other.
    ///
    /// - Returns: the answer, whatever its status; cut where a callback ended it behind its head.
    /// - Throws: ``ClientError`` when no complete answer came; of kind `local` when a callback ended the exchange
    ///   before there was a head.
    public func send(
        _ request: HTTPRequest, _ callbacks: Callbacks = Callbacks()
    ) throws(ClientError) -> HTTPResponse {
        let exchange = Exchange(request, callbacks)
        let fields = try CurlList(
            ["Expect:"]
                + request.fields.list.map { $0.value.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" })
        let addresses = try CurlList(options.addresses)
        // Options do not survive, connections do.
        curl_easy_reset(handle.pointer)
        try configure(request)
        handle.set(CURLOPT_HTTPHEADER, pointer: fields.pointer)
        handle.set(CURLOPT_RESOLVE, pointer: addresses.pointer)
        let detail = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
        detail.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        defer { detail.deallocate() }
        handle.set(CURLOPT_ERRORBUFFER, pointer: detail)
        connect(exchange)
        let code = withExtendedLifetime((exchange, fields, addresses)) { curl_easy_perform(handle.pointer) }
        handle.set(CURLOPT_ERRORBUFFER, pointer: nil)
        handle.set(CURLOPT_HTTPHEADER, pointer: nil)
        handle.set(CURLOPT_RESOLVE, pointer: nil)
        return try answer(exchange, request, code: code, detail: String(cString: detail))
    }

    private func configure(_ request: HTTPRequest) throws(ClientError) {
        try handle.set(CURLOPT_URL, request.url)
        try handle.set(CURLOPT_PROTOCOLS_STR, "http,https")
        try handle.set(CURLOPT_USERAGENT, options.userAgent)
        handle.set(CURLOPT_NOSIGNAL, 1)
        // A path is sent as it was written: `..` is the server's to judge.
        handle.set(CURLOPT_PATH_AS_IS, 1)
        handle.set(CURLOPT_TCP_NODELAY, 1)
        handle.set(CURLOPT_CONNECTTIMEOUT_MS, Int(options.connectLimit * 1_000))
        handle.set(CURLOPT_TIMEOUT_MS, Int((request.timeLimit ?? 0) * 1_000))
        handle.set(
            CURLOPT_HTTP_VERSION,
            Int((options.version == .http1 ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS)))
        if let file = options.caFile { try handle.set(CURLOPT_CAINFO, file) }
        handle.set(CURLOPT_SSL_VERIFYPEER, options.checksCertificate ? 1 : 0)
        handle.set(CURLOPT_SSL_VERIFYHOST, options.checksCertificate ? 2 : 0)
        handle.set(CURLOPT_CERTINFO, options.wantsCertificates ? 1 : 0)
        switch request.body {
        case .none: handle.set(CURLOPT_HTTPGET, 1)
        case .bytes(let bytes): upload(Int64(bytes.count))
        case .descriptor(_, let length): upload(length ?? -1)
        }
        if request.method == "HEAD" { handle.set(CURLOPT_NOBODY, 1) }
        try handle.set(CURLOPT_CUSTOMREQUEST, request.method)
    }

    private func upload(_ length: Int64) {
        handle.set(CURLOPT_UPLOAD, 1)
        handle.set(CURLOPT_INFILESIZE_LARGE, size: length)
    }

    private func answer(
        _ exchange: Exchange, _ request: HTTPRequest, code: CURLcode, detail: String
    ) throws(ClientError) -> HTTPResponse {
        var isCut = false
        switch (code, exchange.end) {
        case (CURLE_OK, _): break
        case (_, .cut): isCut = true
        case (_, .idle(let seconds)):
            throw ClientError(.timeout, "\(request.url): nothing came for \(seconds) seconds")
        case (_, .unreadable(let code)):
            throw ClientError(.local, "reading what is to be sent: \(String(cString: strerror(code)))")
        case (_, .short):
            throw ClientError(.local, "what is to be sent became shorter meanwhile")
        case (_, .notRepeatable), (_, nil):
            throw ClientError(code: code, url: request.url, detail: detail)
        }
        guard let head = exchange.head, head.status >= 200 || !isCut else {
            throw ClientError(.local, "\(request.url): given up before an answer came")
        }
        return HTTPResponse(head: head, body: exchange.body, facts: facts(exchange), isCut: isCut)
    }

    private func facts(_ exchange: Exchange) -> ConnectionFacts {
        var facts = ConnectionFacts()
        facts.address = handle.text(CURLINFO_PRIMARY_IP)
        facts.port = handle.number(CURLINFO_PRIMARY_PORT)
        facts.localAddress = handle.text(CURLINFO_LOCAL_IP)
        facts.isReused = handle.number(CURLINFO_NUM_CONNECTS) == 0
        facts.tlsVersion = exchange.tlsVersion
        facts.tlsCipher = exchange.tlsCipher
        facts.certificates = options.wantsCertificates ? handle.certificates : []
        facts.lookupSeconds = handle.seconds(CURLINFO_NAMELOOKUP_TIME_T)
        facts.connectSeconds = handle.seconds(CURLINFO_CONNECT_TIME_T)
        facts.tlsSeconds = handle.seconds(CURLINFO_APPCONNECT_TIME_T)
        facts.firstByteSeconds = handle.seconds(CURLINFO_STARTTRANSFER_TIME_T)
        facts.totalSeconds = handle.seconds(CURLINFO_TOTAL_TIME_T)
        return facts
    }

    /// The callbacks get the exchange unretained: it outlives the transfer.
    private func connect(_ exchange: Exchange) {
        let context = Unmanaged.passUnretained(exchange).toOpaque()
        _ = ds_curl_set_data_function(handle.pointer, CURLOPT_HEADERFUNCTION) { data, size, count, context in
            let line = UnsafeRawBufferPointer(start: data, count: size * count)
            return Exchange.at(context)?.received(line: line) == true ? size * count : 0
        }
        handle.set(CURLOPT_HEADERDATA, pointer: context)
        _ = ds_curl_set_data_function(handle.pointer, CURLOPT_WRITEFUNCTION) { data, size, count, context in
            let bytes = UnsafeRawBufferPointer(start: data, count: size * count)
            return Exchange.at(context)?.received(body: bytes) == true ? size * count : 0
        }
        handle.set(CURLOPT_WRITEDATA, pointer: context)
        _ = ds_curl_set_data_function(handle.pointer, CURLOPT_READFUNCTION) { data, size, count, context in
            let buffer = UnsafeMutableRawBufferPointer(start: data, count: size * count)
            return Exchange.at(context)?.fill(buffer) ?? Int(CURL_READFUNC_ABORT)
        }
        handle.set(CURLOPT_READDATA, pointer: context)
        _ = ds_curl_set_seek_function(handle.pointer) { context, offset, origin in
            guard offset == 0, origin == SEEK_SET, Exchange.at(context)?.rewind() == true else {
                return CURL_SEEKFUNC_FAIL
            }
            return CURL_SEEKFUNC_OK
        }
        handle.set(CURLOPT_SEEKDATA, pointer: context)
        _ = ds_curl_set_progress_function(handle.pointer) { context, _, received, _, sent in
            Exchange.at(context)?.progress(received: Int64(received), sent: Int64(sent)) == true ? 0 : 1
        }
        handle.set(CURLOPT_XFERINFODATA, pointer: context)
        handle.set(CURLOPT_NOPROGRESS, 0)
        _ = ds_curl_set_debug_function(handle.pointer) { _, type, text, length, context in
            if type == CURLINFO_TEXT {
                let line = UnsafeRawBufferPointer(start: text, count: length)
                Exchange.at(context)?.told(String(decoding: line, as: UTF8.self))
            }
            return 0
        }
        handle.set(CURLOPT_DEBUGDATA, pointer: context)
        handle.set(CURLOPT_VERBOSE, 1)
    }
}

extension Exchange {
    /// The exchange that a callback is called for.
    fileprivate static func at(_ context: UnsafeMutableRawPointer?) -> Exchange? {
        context.map { Unmanaged<Exchange>.fromOpaque($0).takeUnretainedValue() }
    }
}
