/// A request to be sent.
public struct HTTPRequest: Sendable {
    /// What goes with the request.
    public enum Body: Sendable {
        /// Nothing.
        case none
        /// These bytes, with `Content-Length`; none of them is a body too.
        case bytes([UInt8])
        /// Everything that can be read from a descriptor, which stays open. With a length it is sent as
        /// `Content-Length`, and exactly so many bytes; without one the body goes out chunked.
        case descriptor(Int32, length: Int64?)
    }

    /// The method, in upper case.
    public var method: String
    /// An absolute URL, http or https.
    public var url: String
    /// Header fields; `Host`, `Accept`, `User-Agent` and the framing of the body come by themselves.
    public var fields: HTTPFields
    /// The body.
    public var body: Body
    /// Seconds for the whole exchange; nil: as long as it takes.
    public var timeLimit: Double?
    /// Seconds for which nothing may come or go once the connection stands; nil: for ever.
    public var idleLimit: Double?
    /// Whether the request may be sent a second time by itself when a kept connection turns out to be dead.
    /// False for what a server could then do twice: the loss is reported instead.
    public var isRepeatable: Bool

    /// A request.
    public init(
        _ method: String, _ url: String, fields: HTTPFields = [], body: Body = .none,
        timeLimit: Double? = nil,
        idleLimit: Double? = nil, isRepeatable: Bool = true
    ) {
        self.method = method
        self.url = url
        self.fields = fields
        self.body = body
        self.timeLimit = timeLimit
        self.idleLimit = idleLimit
        self.isRepeatable = isRepeatable
    }
}
