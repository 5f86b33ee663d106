import StreamAccess
import StreamProtocol
import StreamService
import StreamStore

/// A refusal of the administrator's interface.
struct AdminError: Error {
    let status: Int
    /// Stable, upper case.
    let code: String
    /// Helps the caller; without any secret.
    let message: String
    /// Methods that the resource takes, with 405.
    var allow: String?

    init(_ status: Int, _ code: String, _ message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    static let notFound = AdminError(
        404, "NOT_FOUND", "there is nothing here; the interface is below /admin/api/")
    static let crossSite = AdminError(
        403, "CROSS_SITE",
        "changes need the header X-DS-Admin: 1, and may not come from pages of other origins")
    static let streamNotFound = AdminError(404, "STREAM_NOT_FOUND", "no such stream")
    static let streamGone = AdminError(410, "STREAM_GONE", "the stream was deleted")

    static func methodNotAllowed(_ allow: String) -> AdminError {
        var error = AdminError(405, "METHOD_NOT_ALLOWED", "this takes \(allow)")
        error.allow = allow
        return error
    }

    static func body(_ message: String) -> AdminError { AdminError(400, "BODY_INVALID", message) }

    /// - Parameter refused: what a refusal of the registry is here.
    init(_ error: AccessError, refused: Int = 400) {
        switch error.kind {
        case .absent: self.init(404, "NOT_FOUND", error.message)
        case .occupied: self.init(409, "PROJECT_EXISTS", error.message)
        case .refused: self.init(refused, refused == 409 ? "CONFLICT" : "REFUSED", error.message)
        case .configuration: self.init(500, "KEY_UNFIT", error.message)
        case .failed:
            self.init(500, "STORAGE_FAILED", "the server could not reach its storage; the log says why")
        }
    }

    init(_ error: StoreError) {
        switch error.kind {
        case .full: self.init(507, "STORAGE_FULL", "there is no space left for new data")
        case .busy: self.init(503, "BUSY", "too many writes wait; try again in a second")
        default:
            self.init(500, "STORAGE_FAILED", "the server could not reach its storage; the log says why")
        }
    }

    /// The answer.
    var response: ServiceResponse {
        var response = AdminAnswer.document(
            .object([("error", .object([("code", .string(code)), ("message", .string(message))]))]),
            status: status)
        if let allow { response.add("Allow", allow) }
        return response
    }
}

/// What answers have in common.
enum AdminAnswer {
    static func document(_ document: JSON, status: Int = 200) -> ServiceResponse {
        bytes(Array(document.text.utf8), type: "application/json", status: status)
    }

    static func bytes(_ body: [UInt8], type: StaticString, status: Int = 200) -> ServiceResponse {
        var response = ServiceResponse(status: status)
        response.add("Content-Type", fixed: type)
        response.add("Cache-Control", fixed: "no-store")
        response.body = body
        return response
    }
}
