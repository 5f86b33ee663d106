import Glibc
import StreamClient

/// Requests about streams, as commands make them.
struct StreamCalls {
    let server: ServerOptions
    let client: HTTPClient

    init(_ server: ServerOptions) {
        self.server = server
        client = server.client()
    }

    private func request(
        _ method: String, _ url: String, _ fields: HTTPFields = [], _ body: HTTPRequest.Body = .none,
        isRepeatable: Bool = true
    ) -> HTTPRequest {
        HTTPRequest(
            method, url, fields: server.fields(fields), body: body, idleLimit: Double(server.timeout.value),
            isRepeatable: isRepeatable)
    }

    func head(_ url: String) throws(ClientError) -> HTTPResponse {
        try client.send(request("HEAD", url))
    }

    func delete(_ url: String) throws(ClientError) -> HTTPResponse {
        try client.send(request("DELETE", url))
    }

    func create(_ url: String, _ fields: HTTPFields, _ body: HTTPRequest.Body) throws(ClientError)
        -> HTTPResponse
    {
        try client.send(request("PUT", url, fields, body))
    }

    /// - Parameter isRepeatable: whether doing it twice changes nothing.
    func append(
        _ url: String, _ fields: HTTPFields, _ body: HTTPRequest.Body, isRepeatable: Bool
    ) throws(ClientError) -> HTTPResponse {
        try client.send(request("POST", url, fields, body, isRepeatable: isRepeatable))
    }

    func read(
        _ url: String, _ callbacks: HTTPClient.Callbacks, idleLimit: Double? = nil
    ) throws(ClientError) -> HTTPResponse {
        var request = self.request("GET", url)
        if let idleLimit { request.idleLimit = idleLimit }
        return try client.send(request, callbacks)
    }

    /// The URL with a query put behind it.
    static func url(_ url: String, _ query: String) -> String {
        url + (url.utf8.contains(UInt8(ascii: "?")) ? "&" : "?") + query
    }
}
