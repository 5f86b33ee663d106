import StreamAccess
import StreamProtocol
import StreamService
import StreamStore
import Telemetry

/// The interface below /admin/api, and the metrics. It belongs to one thread.
final class AdminInterface {
    let options: AdminService.Options
    var rates = RateMeter()
    private var openAdministration: ProjectAdministration?
    private var openInspection: StreamInspection?

    init(_ options: AdminService.Options) { self.options = options }

    /// Answers a request that is not for a stream.
    func answer(_ request: ServiceRequest) -> ServiceResponse {
        do throws(AdminError) { return try route(request) } catch { return error.response }
    }

    private func route(_ request: ServiceRequest) throws(AdminError) -> ServiceResponse {
        let path = request.target.path
        if path == "/admin/metrics" {
            try AdminInterface.require(request, .get)
            guard let metrics = options.metrics?() else {
                throw AdminError(503, "NO_METRICS", "nothing has been counted yet")
            }
            return AdminAnswer.bytes(metrics, type: PrometheusText.contentType)
        }
        let root = "/admin/api/"
        guard path.hasPrefix(root) else { throw .notFound }
        let parts = path.dropFirst(root.count).split(separator: "/", omittingEmptySubsequences: false)
        switch (parts.count, parts[0]) {
        case (1, "overview"):
            try AdminInterface.require(request, .get)
            return try overview()
        case (1, "history"):
            try AdminInterface.require(request, .get)
            return try history(request)
        case (1, "processes"):
            try AdminInterface.require(request, .get)
            return processes()
        case (1, "projects"):
            return try request.method == .post ? createProject(request) : listProjects(request)
        case (2..., "projects"):
            guard let project = AdminInterface.project(parts[1]) else { throw .notFound }
            return try route(request, project, parts.dropFirst(2))
        default: throw .notFound
        }
    }

    private func route(
        _ request: ServiceRequest, _ project: String, _ rest: ArraySlice<Substring>
    ) throws(AdminError) -> ServiceResponse {
        switch (rest.count, rest.first, rest.last) {
        case (0, _, _):
            try AdminInterface.require(request, .get)
            return try describeProject(project)
        case (1, "cors", _):
            try AdminInterface.require(request, .put)
            return try setOrigins(request, project)
        case (1, "quota", _):
            try AdminInterface.require(request, .put)
            return try setQuota(request, project)
        case (1, "secrets", _):
            try AdminInterface.require(request, .post)
            return try addSecret(request, project)
        case (2, "secrets", let id?):
            try AdminInterface.require(request, .delete)
            return try removeSecret(id, project)
        case (1, "tokens", _):
            try AdminInterface.require(request, .post)
            return try mintToken(request, project)
        case (2, "reader-keys", "rotate"):
            try AdminInterface.require(request, .post)
            return try rotateReaderKeys(request, project)
        case (1, "streams", _):
            // GET and HEAD went to the list itself.
            throw .methodNotAllowed("GET, HEAD")
        case (2..., "streams", _):
            try AdminInterface.require(request, .get)
            return try describeStream(project, rest.dropFirst().joined(separator: "/"))
        default: throw .notFound
        }
    }

    /// Refuses all other methods; HEAD is as GET, since nginx leaves the body away.
    static func require(_ request: ServiceRequest, _ method: Method) throws(AdminError) {
        if request.method == method || (method == .get && request.method == .head) { return }
        switch method {
        case .get: throw .methodNotAllowed("GET, HEAD")
        case .put: throw .methodNotAllowed("PUT")
        case .post: throw .methodNotAllowed("POST")
        default: throw .methodNotAllowed("DELETE")
        }
    }

    /// The name of a project, as URLs of streams may spell it.
    static func project(_ segment: some StringProtocol) -> String? {
        guard case .streams(let project) = RequestTarget.route(path: "/v1/\(segment)/streams") else {
            return nil
        }
        return project
    }

    /// The public list of streams that a request for one stands for; nil for all other requests.
    static func listOfStreams(_ request: ServiceRequest) -> ServiceRequest? {
        guard request.method == .get || request.method == .head else { return nil }
        let parts = request.target.path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[1] == "admin", parts[2] == "api", parts[3] == "projects",
            parts[5] == "streams",
            project(parts[4]) != nil
        else { return nil }
        var list = request
        list.method = .get
        list.target = RequestTarget(
            raw: "/v1/\(parts[4])/streams" + (request.target.query.map { "?" + $0 } ?? ""))
        return list
    }

    // MARK: What it works with

    func inspection() throws(AdminError) -> StreamInspection {
        if let openInspection { return openInspection }
        let opened = try store { () throws(StoreError) in try StreamInspection(self.options.files) }
        openInspection = opened
        return opened
    }

    func store<Found>(_ body: () throws(StoreError) -> Found) throws(AdminError) -> Found {
        do throws(StoreError) { return try body() } catch {
            options.failed(error.description)
            throw AdminError(error)
        }
    }

    /// - Parameter refused: the status of what the registry refuses.
    func administer<Found>(
        refused: Int = 400, _ body: (ProjectAdministration) throws(AccessError) -> Found
    ) throws(AdminError) -> Found {
        do throws(AccessError) {
            return try body(try administration())
        } catch {
            if error.kind == .failed || error.kind == .configuration { options.failed(error.message) }
            throw AdminError(error, refused: refused)
        }
    }

    private func administration() throws(AccessError) -> ProjectAdministration {
        if let openAdministration { return openAdministration }
        let opened = try ProjectAdministration(options.files)
        openAdministration = opened
        return opened
    }
}
