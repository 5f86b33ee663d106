import Glibc
import StreamProtocol
import StreamStore

/// A secret right after it was made: the only time that it can be seen.
public struct NewSecret: Sendable {
    /// Whose it is.
    public let project: String
    /// Names it from now on.
    public let id: Int64
    /// The key of tokens, as printed.
    public let secret: String
}

/// What `durable-streams projects` says of a project.
public struct ProjectSummary: Sendable {
    /// Its name in URLs.
    public let name: String
    /// Milliseconds since 1970.
    public let createdAt: Int64
    /// Newest first; times in milliseconds since 1970.
    public let secrets: [(id: Int64, createdAt: Int64)]
    /// As `set-cors` was told.
    public let origins: [String]
    /// What it may take.
    public let quota: ProjectQuota
    /// What it takes.
    public let usage: ProjectUsage
}

/// What a token says, and what is wrong with it.
public struct TokenReport: Sendable {
    /// What it claims; nil when that can't be read.
    public let claims: TokenClaims?
    /// For people; nil when it is valid.
    public let problem: String?
    /// The secret that signed it.
    public let secretID: Int64?
}

/// What the command line does with projects: on the data directory, beside a running server or without one.
public final class ProjectAdministration {
    private let files: StoreFiles
    private let writer: RegistryWriter
    private let reader: RegistryReader
    private let key: SecretsKey

    /// Opens a data directory.
    ///
    /// - Parameters:
    ///   - creates: whether it is made where there is none.
    ///   - forgivesLostKey: whether secrets may be there that the key does not open.
    /// - Throws: `configuration` when the key is missing, unfit, or not the one that the secrets were made with.
    public init(
        _ files: StoreFiles, creates: Bool = false, forgivesLostKey: Bool = false
    ) throws(AccessError) {
        guard creates || access(files.hotLog, F_OK) == 0 else {
            throw AccessError(kind: .absent, "\(files.folder) holds no streams and no projects yet")
        }
        self.files = files
        (writer, reader) = try AccessError.from { () throws(StoreError) in
            try StoreCheck.check(files)
            return (try RegistryWriter(files), try RegistryReader(files))
        }
        let records = try AccessError.from { [reader] () throws(StoreError) in try reader.load().projects }
        key = try ProjectAdministration.key(files, for: forgivesLostKey ? [] : records)
    }

    /// Makes sure, before a server starts, that there is a key and that it opens what is stored.
    public static func checkKey(_ files: StoreFiles, creates: Bool = true) throws(AccessError) {
        var records: [ProjectRecord] = []
        // A hot log of an earlier version has no projects.
        if access(files.hotLog, F_OK) == 0, let reader = try? RegistryReader(files) {
            records = try AccessError.from { () throws(StoreError) in try reader.load().projects }
        }
        guard creates || access(files.secretsKey, F_OK) == 0 || !records.isEmpty else { return }
        _ = try key(files, for: records)
    }

    /// The key that secrets are sealed with, made where there are none.
    private static func key(_ files: StoreFiles, for records: [ProjectRecord]) throws(AccessError)
        -> SecretsKey
    {
        let mend =
            "restore it from your copy; if it is lost, `durable-streams add-secret PROJECT --lost-key` "
            + "for each project replaces them, and all tokens"
        guard access(files.secretsKey, F_OK) == 0 || records.isEmpty else {
            throw AccessError(
                kind: .configuration, "\(files.secretsKey) is missing, and projects have secrets: \(mend)")
        }
        let key = try SecretsKey.loadOrCreate(path: files.secretsKey)
        if let strange = records.first(where: { Project($0, key).secrets.isEmpty }) {
            throw AccessError(
                kind: .configuration,
                "\(files.secretsKey) does not open the secrets of project \(strange.name): \(mend)")
        }
        return key
    }

    /// Registers a project.
    public func create(_ name: String) throws(AccessError) -> NewSecret {
        guard StreamName.isProjectName(name.utf8) else {
            throw AccessError(kind: .refused, "a project is named by 1 to 64 letters, digits, _, -, . or ~")
        }
        guard ![".", "..", "stream", "streams"].contains(name) else {
            throw AccessError(kind: .refused, "\(name) means something else in URLs: choose another name")
        }
        let secret = try SecretsKey.newSecret()
        let sealed = try key.seal(secret, for: name)
        return NewSecret(
            project: name,
            id: try AccessError.from { () throws(StoreError) in
                try writer.create(name, sealed: sealed, now: ProjectAdministration.now)
            },
            secret: secret)
    }

    /// All projects by name.
    public func projects() throws(AccessError) -> [ProjectSummary] {
        try AccessError.from { () throws(StoreError) in
            let usages = try reader.usages()
            return try reader.load().projects.map { record in
                ProjectSummary(
                    name: record.name, createdAt: record.createdAt,
                    secrets: record.secrets.map { ($0.id, $0.createdAt) }, origins: record.origins,
                    quota: record.quota, usage: usages[record.name] ?? ProjectUsage())
            }
        }
    }

    /// Adds a secret, which becomes the newest; those that the key does not open, it replaces.
    public func addSecret(to project: String) throws(AccessError) -> NewSecret {
        let unreadable = try record(of: project).secrets.filter { key.open($0.sealed, for: project) == nil }
        let secret = try SecretsKey.newSecret()
        let sealed = try key.seal(secret, for: project)
        return try AccessError.from { () throws(StoreError) in
            let id = try writer.addSecret(sealed, to: project, now: ProjectAdministration.now)
            for lost in unreadable { try writer.removeSecret(lost.id, of: project) }
            return NewSecret(project: project, id: id, secret: secret)
        }
    }

    /// Removes a secret; the last one stays.
    public func removeSecret(_ id: Int64, of project: String) throws(AccessError) {
        try AccessError.from { () throws(StoreError) in try writer.removeSecret(id, of: project) }
    }

    /// Says from which origins browsers may use a project: none, `["*"]`, or a list.
    public func setOrigins(_ origins: [String], of project: String) throws(AccessError) {
        guard origins == ["*"] || origins.allSatisfy(OriginRule.isOrigin) else {
            throw AccessError(
                kind: .refused, "an origin is * alone, or like https://app.example.org: lower case, no path")
        }
        try AccessError.from { () throws(StoreError) in try writer.setOrigins(origins, of: project) }
    }

    /// Whether a text can be an origin in a list.
    public static func isOrigin(_ text: String) -> Bool { OriginRule.isOrigin(text) }

    /// Limits a project.
    public func setQuota(_ quota: ProjectQuota, of project: String) throws(AccessError) {
        try AccessError.from { () throws(StoreError) in try writer.setQuota(quota, of: project) }
    }

    /// What a project may take.
    public func quota(of project: String) throws(AccessError) -> ProjectQuota {
        try record(of: project).quota
    }

    /// Gives a project's streams, or one of them, new reader keys.
    public func rotateReaderKey(of project: String, stream: String?) throws(AccessError) {
        _ = try record(of: project)
        try AccessError.from { () throws(StoreError) in
            if let stream {
                try writer.rotateReaderKey(of: StreamName(project: project, path: stream))
            } else {
                try writer.rotateReaderKeys(of: project)
            }
        }
    }

    /// Signs claims with the newest secret of the project that they name.
    public func mint(_ claims: TokenClaims) throws(AccessError) -> String {
        let project = Project(try record(of: claims.subject), key)
        guard let secret = project.secrets.first else {
            throw AccessError(
                kind: .configuration,
                "\(files.secretsKey) does not open the secrets of project \(claims.subject): put the key back that they were made with"
            )
        }
        return try TokenIssuer.mint(claims, secret: secret.key)
    }

    /// Looks at a token.
    ///
    /// - Parameter project: whose it should be; nil: that of its `sub`.
    public func check(_ token: String, project: String?) throws(AccessError) -> TokenReport {
        let claimed: TokenClaims
        do throws(TokenProblem) {
            claimed = try TokenVerifier.decode(unverified: token)
        } catch {
            return TokenReport(claims: nil, problem: error.description, secretID: nil)
        }
        let name = project ?? claimed.subject
        guard let record = try records().first(where: { $0.name == name }) else {
            return TokenReport(
                claims: claimed, problem: "there is no project \(name.debugDescription)", secretID: nil)
        }
        let secrets = Project(record, key).secrets
        do throws(TokenProblem) {
            let (claims, index) = try TokenVerifier.verify(
                token, secrets: secrets.map(\.key), project: name, now: ProjectAdministration.now)
            return TokenReport(claims: claims, problem: nil, secretID: secrets[index].id)
        } catch {
            return TokenReport(claims: claimed, problem: error.description, secretID: nil)
        }
    }

    /// A page of a project's streams.
    public func streams(
        of project: String, prefix: String, after: String?, limit: Int
    ) throws(AccessError) -> (streams: [ListedStream], next: String?) {
        let page = try AccessError.from { () throws(StoreError) in
            try StreamListing(files).list(
                project: project, prefix: prefix, after: after, limit: limit, now: ProjectAdministration.now)
        }
        // Streams of a project that nobody registered are there where everything is open.
        if page.streams.isEmpty, prefix.isEmpty, after == nil { _ = try record(of: project) }
        return page
    }

    private func records() throws(AccessError) -> [ProjectRecord] {
        try AccessError.from { () throws(StoreError) in try reader.load().projects }
    }

    private func record(of project: String) throws(AccessError) -> ProjectRecord {
        guard let record = try records().first(where: { $0.name == project }) else {
            throw AccessError(
                kind: .absent, "there is no project \(project): `durable-streams projects` lists them")
        }
        return record
    }

    /// Milliseconds since 1970, as moved by a test.
    private static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
            + TestHooks.clockOffset
    }
}

extension AccessError {
    /// A failure of the store, as commands see it.
    init(_ error: StoreError) {
        let kind: Kind =
            switch error.kind {
            case .absent: .absent
            case .occupied: .occupied
            case .inUse: .refused
            case .newerSchema, .incomplete: .configuration
            default: .failed
            }
        self.init(kind: kind, error.description)
    }

    static func from<T>(_ body: () throws(StoreError) -> T) throws(AccessError) -> T {
        do throws(StoreError) { return try body() } catch { throw AccessError(error) }
    }
}
