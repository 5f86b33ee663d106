import StreamAccess
import StreamProtocol
import StreamStore

/// The list of a project's streams.
extension StreamService {
    /// `GET /v1/{project}/streams`: a page in the order of paths.
    func list(
        _ request: ServiceRequest, project: String, _ listing: () throws(StoreError) -> StreamListing
    ) throws(ServiceError) -> ServiceResponse {
        _ = try authorise(request, project: project, need: .list)
        request.trace?.mark(.judged)
        guard request.method == .get else { throw .listingMethod }
        guard let query = ListingQuery(request.target.query) else { throw .limitInvalid }
        let page: (streams: [ListedStream], next: String?)
        do throws(StoreError) {
            page = try listing().list(
                project: project, prefix: query.prefix, after: query.after, limit: query.limit,
                now: options.clock())
        } catch {
            options.failed(error)
            throw ServiceError(error)
        }
        request.trace?.mark(.read)
        var text = #"{"streams":["#
        for (number, stream) in page.streams.enumerated() {
            if number > 0 { text += "," }
            text += StreamService.describe(stream)
        }
        text += #"],"next":"# + (page.next.map(JSONText.quoted) ?? "null") + "}"
        var response = ServiceResponse(status: 200)
        response.add(HeaderName.contentType, fixed: "application/json")
        response.add(HeaderName.cacheControl, fixed: "no-store")
        response.body = Array(text.utf8)
        return response
    }

    private static func describe(_ stream: ListedStream) -> String {
        let written = stream.lastWriteAt.map { JSONText.quoted(Timestamp.text(milliseconds: $0)) } ?? "null"
        return """
            {"path":\(JSONText.quoted(stream.path)),"content_type":\(JSONText.quoted(stream.contentType)),\
            "tail":"\(stream.tail)","state":"\(stream.isClosed ? "closed" : "open")","public":\(stream.isPublic),\
            "created_at":"\(Timestamp.text(milliseconds: stream.createdAt))","last_write_at":\(written)}
            """
    }
}
