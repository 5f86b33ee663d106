import StreamAccess
import StreamProtocol
import StreamService

/// The JSON object of a request, read strictly: what isn't known is refused, and named.
struct RequestBody {
    private let members: JSONMembers

    /// Most bytes.
    private static let limit = 65_536

    /// - Parameter known: the names that may be there.
    init(_ request: ServiceRequest, known: [String]) throws(AdminError) {
        guard request.body.count <= RequestBody.limit else {
            throw AdminError(413, "BODY_TOO_LARGE", "a body may have \(RequestBody.limit) bytes here")
        }
        if let encoding = request.headers.nonEmpty(.contentEncoding), encoding.lowercased() != "identity" {
            throw AdminError(
                415, "CONTENT_ENCODING_UNSUPPORTED", "send the body without Content-Encoding")
        }
        let type = request.headers[.contentType].map { MediaType(contentType: $0) }
        guard request.body.isEmpty || type?.isJSON == true else {
            throw AdminError(415, "CONTENT_TYPE_UNSUPPORTED", "send Content-Type: application/json")
        }
        do throws(JSONMembers.Problem) {
            let body = request.body.isEmpty ? Array("{}".utf8) : request.body
            members = try JSONMembers(body, keepsNested: true)
        } catch {
            switch error {
            case .malformed: throw .body("the body is not one JSON object in UTF-8")
            case .duplicate: throw .body("a member of the body comes twice")
            }
        }
        if let stranger = members.names.first(where: { !known.contains($0) }) {
            let names = known.isEmpty ? "no members" : known.joined(separator: ", ")
            throw .body(
                "the body has an unknown member \(JSONText.quoted(String(stranger.prefix(64)))); known: \(names)"
            )
        }
    }

    /// Whether a member is there, `null` or not.
    func has(_ name: String) -> Bool { members[name] != nil }

    /// A text; nil when it is absent or null.
    func text(_ name: String) throws(AdminError) -> String? {
        switch members[name] {
        case nil, .null: return nil
        case .string(let text): return text
        default: throw .body("\(name) is not a string")
        }
    }

    func requiredText(_ name: String) throws(AdminError) -> String {
        guard let text = try text(name) else { throw .body("\(name) is missing: give a string") }
        return text
    }

    /// A whole number; nil when it is absent or null.
    func integer(_ name: String, _ range: ClosedRange<Int64>) throws(AdminError) -> Int64? {
        switch members[name] {
        case nil, .null: return nil
        case .number(_, let exactly?) where range.contains(exactly): return exactly
        default:
            throw .body("\(name) is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
    }

    func requiredInteger(_ name: String, _ range: ClosedRange<Int64>) throws(AdminError) -> Int64 {
        guard let number = try integer(name, range) else {
            throw .body(
                "\(name) is missing: give a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A list of texts; nil when it is absent.
    func texts(_ name: String) throws(AdminError) -> [String]? {
        guard has(name) else { return nil }
        guard let texts = members.strings(name) else { throw .body("\(name) is not an array of strings") }
        return texts
    }
}
