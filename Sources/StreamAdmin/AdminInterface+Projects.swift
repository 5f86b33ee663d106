import StreamAccess
import StreamProtocol
import StreamService
import StreamStore

/// Projects: what is registered, and what merely has streams.
extension AdminInterface {
    /// Projects that a list has at most, of those that merely have streams.
    private static let projectLimit = 10_000
    /// The largest number that every client can hold.
    private static let largest = NumberGrammar.maximum
    /// A hundred years.
    private static let longestLife: Int64 = 3_153_600_000
    private static let pathLimit = 2_048

    func listProjects(_ request: ServiceRequest) throws(AdminError) -> ServiceResponse {
        guard request.method == .get || request.method == .head else {
            throw .methodNotAllowed("GET, HEAD, POST")
        }
        let registered = try administer { (projects) throws(AccessError) in try projects.projects() }
        let inspection = try inspection()
        let others = try store { () throws(StoreError) in
            try inspection.projects(limit: AdminInterface.projectLimit)
        }
        let names = Set(registered.map(\.name))
        let all =
            registered.map { ($0.name, AdminInterface.describe($0)) }
            + others.filter { !names.contains($0) }.map { ($0, AdminInterface.describeUnregistered($0)) }
        return AdminAnswer.document(
            .object([("projects", .array(all.sorted { $0.0 < $1.0 }.map(\.1)))]))
    }

    func describeProject(_ name: String) throws(AdminError) -> ServiceResponse {
        let registered = try administer { (projects) throws(AccessError) in try projects.projects() }
        if let found = registered.first(where: { $0.name == name }) {
            return AdminAnswer.document(AdminInterface.describe(found))
        }
        let inspection = try inspection()
        guard try store({ () throws(StoreError) in try inspection.hasStreams(name) }) else {
            throw AdminError(404, "PROJECT_NOT_FOUND", "there is no project \(name), and it has no streams")
        }
        return AdminAnswer.document(AdminInterface.describeUnregistered(name))
    }

    private static func describe(_ project: ProjectSummary) -> JSON {
        .object([
            ("name", .string(project.name)), ("registered", .bool(true)),
            ("created_at", .integer(project.createdAt)),
            (
                "secrets",
                .array(
                    project.secrets.map {
                        .object([("id", .integer($0.id)), ("created_at", .integer($0.createdAt))])
                    })
            ),
            ("cors", .array(project.origins.map { .string($0) })), ("quota", describe(project.quota)),
            (
                "usage",
                .object([
                    ("streams", .integer(project.usage.streams)), ("bytes", .integer(project.usage.bytes)),
                ])
            ),
        ])
    }

    private static func describeUnregistered(_ name: String) -> JSON {
        .object([
            ("name", .string(name)), ("registered", .bool(false)), ("created_at", .null),
            ("secrets", .array([])), ("cors", .array([])), ("quota", describe(ProjectQuota())),
            ("usage", .null),
        ])
    }

    private static func describe(_ quota: ProjectQuota) -> JSON {
        .object([
            ("streams", .optional(quota.streams)), ("bytes", .optional(quota.bytes)),
            ("body", .optional(quota.body)),
        ])
    }

    func createProject(_ request: ServiceRequest) throws(AdminError) -> ServiceResponse {
        let body = try RequestBody(request, known: ["name", "cors"])
        let name = try body.requiredText("name")
        let origins = try body.texts("cors") ?? []
        try AdminInterface.check(origins, "cors")
        let made = try administer { (projects) throws(AccessError) in
            let made = try projects.create(name)
            if !origins.isEmpty { try projects.setOrigins(origins, of: name) }
            return made
        }
        return AdminAnswer.document(
            .object([("name", .string(name)), ("secret", AdminInterface.describe(made))]), status: 201)
    }

    /// The only time that a secret is seen.
    private static func describe(_ secret: NewSecret) -> JSON {
        .object([("id", .integer(secret.id)), ("secret", .string(secret.secret))])
    }

    private static func check(_ origins: [String], _ name: String) throws(AdminError) {
        guard origins == ["*"] || origins.allSatisfy({ ProjectAdministration.isOrigin($0) && $0 != "*" })
        else {
            throw .body(
                "\(name) is \"*\" alone, or origins like https://app.example.org: lower case, no path")
        }
    }

    func setOrigins(_ request: ServiceRequest, _ project: String) throws(AdminError) -> ServiceResponse {
        let body = try RequestBody(request, known: ["origins"])
        guard let origins = try body.texts("origins") else {
            throw .body("origins is missing: give an array of strings")
        }
        try AdminInterface.check(origins, "origins")
        try administer { (projects) throws(AccessError) in try projects.setOrigins(origins, of: project) }
        return AdminAnswer.document(.object([("origins", .array(origins.map { .string($0) }))]))
    }

    func setQuota(_ request: ServiceRequest, _ project: String) throws(AdminError) -> ServiceResponse {
        let body = try RequestBody(request, known: ["streams", "bytes", "body"])
        let range = 0...AdminInterface.largest
        let (streams, bytes) = (try body.integer("streams", range), try body.integer("bytes", range))
        let largestBody = try body.integer("body", range)
        let quota = try administer { (projects) throws(AccessError) in
            // What isn't named stays as it is; null takes it away.
            var quota = try projects.quota(of: project)
            if body.has("streams") { quota.streams = streams }
            if body.has("bytes") { quota.bytes = bytes }
            if body.has("body") { quota.body = largestBody }
            try projects.setQuota(quota, of: project)
            return quota
        }
        return AdminAnswer.document(AdminInterface.describe(quota))
    }

    func addSecret(_ request: ServiceRequest, _ project: String) throws(AdminError) -> ServiceResponse {
        _ = try RequestBody(request, known: [])
        let made = try administer { (projects) throws(AccessError) in try projects.addSecret(to: project) }
        return AdminAnswer.document(AdminInterface.describe(made), status: 201)
    }

    func removeSecret(_ id: Substring, _ project: String) throws(AdminError) -> ServiceResponse {
        guard let number = NumberGrammar.canonical(id) else { throw .notFound }
        try administer(refused: 409) { (projects) throws(AccessError) in
            try projects.removeSecret(number, of: project)
        }
        return ServiceResponse(status: 204)
    }

    func mintToken(_ request: ServiceRequest, _ project: String) throws(AdminError) -> ServiceResponse {
        let body = try RequestBody(request, known: ["scope", "stream_id", "expires_in_seconds"])
        let text = try body.requiredText("scope")
        guard ["read", "write", "manage"].contains(text), let scope = TokenScope(text: text) else {
            throw .body("scope is read, write or manage")
        }
        let seconds = try body.requiredInteger("expires_in_seconds", 1...AdminInterface.longestLife)
        let streamID = try body.text("stream_id")
        if let streamID, streamID.isEmpty || streamID.utf8.count > AdminInterface.pathLimit {
            throw .body(
                "stream_id is a path of at most \(AdminInterface.pathLimit) bytes, or one with /* at its end")
        }
        let now = options.clock() / 1_000
        let claims = TokenClaims(
            subject: project, scope: scope, expires: (now + seconds) * 1_000, issuedAt: now * 1_000,
            streamID: streamID)
        let token = try administer { (projects) throws(AccessError) in try projects.mint(claims) }
        return AdminAnswer.document(
            .object([("token", .string(token)), ("expires_at", .integer(claims.expires))]))
    }

    func rotateReaderKeys(_ request: ServiceRequest, _ project: String) throws(AdminError) -> ServiceResponse
    {
        let body = try RequestBody(request, known: ["path"])
        let path = try body.text("path")
        if let path, path.isEmpty { throw .body("path is empty; leave it away for all streams") }
        try administer { (projects) throws(AccessError) in
            try projects.rotateReaderKey(of: project, stream: path)
        }
        return AdminAnswer.document(.object([("project", .string(project)), ("stream", .optional(path))]))
    }
}
