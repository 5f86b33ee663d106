import CCurl

/// Why no answer came, in one line for people.
public struct ClientError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What kind of failure it is.
    public enum Kind: Sendable {
        /// The URL is none, or its scheme is neither http nor https.
        case url
        /// The name has no address.
        case lookup
        /// Nobody accepts connections there, or the way there is barred.
        case refused
        /// TLS: the certificate is not trusted, is for another name, or no version fits.
        case tls
        /// It took longer than it may.
        case timeout
        /// The connection broke before the answer was complete.
        case lost
        /// What came is not HTTP.
        case malformed
        /// Something on this side: a file, memory, an option.
        case local
    }

    /// The kind.
    public let kind: Kind
    /// One line without a full stop, with what to do where that is known.
    public let message: String

    /// The message.
    public var description: String { message }

    /// An error of a kind.
    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    /// Whether trying again later can help.
    public var isTemporary: Bool {
        switch kind {
        case .refused, .timeout, .lost: true
        case .lookup, .url, .tls, .malformed, .local: false
        }
    }

    /// - Parameter detail: libcurl's own words, which name host and port; may be empty.
    init(code: CURLcode, url: String, detail: String) {
        let words = detail.isEmpty ? String(cString: curl_easy_strerror(code)) : detail
        switch code {
        // What libcurl takes for HTTP/0.9 has no head.
        case CURLE_UNSUPPORTED_PROTOCOL where detail.contains("HTTP/0.9"):
            self.init(.malformed, "\(url): what answers there does not speak HTTP")
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL:
            self.init(.url, "\(url.debugDescription) is not a URL of http or https")
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY:
            self.init(.lookup, "\(url): the name has no address: \(words)")
        case CURLE_COULDNT_CONNECT:
            self.init(.refused, "\(url): nobody answers there; is the server running? \(words)")
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CACERT_BADFILE,
            CURLE_SSL_CIPHER, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_CERTPROBLEM,
            CURLE_USE_SSL_FAILED:
            self.init(.tls, "\(url): TLS failed: \(words)")
        case CURLE_OPERATION_TIMEDOUT:
            self.init(.timeout, "\(url): \(words)")
        case CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_HTTP2,
            CURLE_HTTP2_STREAM, CURLE_SEND_FAIL_REWIND:
            self.init(.lost, "\(url): the connection broke: \(words)")
        case CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING:
            self.init(.malformed, "\(url): no HTTP comes from there: \(words)")
        default:
            self.init(.local, "\(url): \(words)")
        }
    }
}
