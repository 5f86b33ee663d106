import StreamProtocol
import StreamStore
import Synchronization

/// Who decides who may do what.
public enum AccessMode: String, CaseIterable, Sendable {
    /// Nobody: everything is open.
    case none
    /// Tokens signed with a secret of the project.
    case projectJWT = "project-jwt"
    /// The deployer's own endpoint, which nginx asks; this program trusts what nginx lets through.
    case delegate
}

/// Judges requests by their tokens. One for each process; any thread may ask.
public final class AccessControl: Sendable {
    /// Who decides.
    public let mode: AccessMode
    /// The projects; nil where nobody needs them.
    public let registry: ProjectRegistry?
    private let key: SecretsKey?
    private let remembered = Mutex(Remembered())

    /// What was verified before, so that a reader who comes again costs a lookup and no signature.
    private struct Remembered {
        var version: Int64 = -1
        var claims: [Question: Verified] = [:]
    }

    private struct Verified {
        let claims: TokenClaims
        let secret: Int64
    }

    private struct Question: Hashable {
        let project: String
        let authorization: String
    }

    /// Most tokens that are remembered, about a megabyte.
    private static let rememberedLimit = 2_048
    /// Bytes of the longest that is.
    private static let rememberedLength = 1_024

    /// Everything is open and nothing limited.
    public init() {
        mode = .none
        registry = nil
        key = nil
    }

    /// Judges by the registry.
    public init(mode: AccessMode, registry: ProjectRegistry, key: SecretsKey) {
        self.mode = mode
        self.registry = registry
        self.key = key
    }

    /// What a request wants.
    public enum Need: Sendable {
        /// To read a stream, named by its path.
        case read(String)
        /// To create, append, close or delete.
        case write(String)
        /// To see which streams there are.
        case list
        /// Anything, by whoever has a token of the project.
        case token
    }

    /// What an accepted token says; nil where tokens aren't asked for.
    public struct Grant: Sendable {
        /// Its claims.
        public let claims: TokenClaims?
        /// The secret that it was signed with.
        let secret: Int64

        /// Everything is allowed.
        public static let open = Grant(claims: nil, secret: 0)

        /// What has to hold for as long as somebody is served by it; nil where tokens aren't asked for.
        public var lease: Lease? {
            claims.map { Lease(project: $0.subject, secret: secret, expires: $0.expires) }
        }

        /// Whether it covers reading another stream too.
        public func covers(reading name: StreamName) -> Bool {
            guard let claims else { return true }
            return claims.subject == name.project && claims.scope.contains(.read)
                && claims.covers(path: name.path)
        }

        /// When it ends, in milliseconds since 1970; nil: never.
        public var expires: Int64? { claims?.expires }
    }

    /// For how long a live reader may be served.
    public struct Lease: Equatable, Sendable {
        let project: String
        let secret: Int64
        /// Milliseconds since 1970.
        public let expires: Int64
    }

    /// Another with each change of the registry, by which leases may have ended.
    public var registryVersion: Int64 { registry?.version ?? 0 }

    /// Whether the secret behind a lease is still there.
    public func holds(_ lease: Lease) -> Bool {
        registry?.project(lease.project)?.secrets.contains { $0.id == lease.secret } ?? false
    }

    /// Why a request is refused. The words are for the operator.
    public enum Refusal: Error, Equatable, Sendable {
        /// No token came.
        case missing
        /// It is no valid token of the project.
        case invalid(String)
        /// It is, but doesn't allow this.
        case forbidden(String)

        /// The reason.
        public var reason: String {
            switch self {
            case .missing: "no token"
            case .invalid(let reason), .forbidden(let reason): reason
            }
        }
    }

    /// Judges a request.
    ///
    /// - Parameters:
    ///   - authorization: the value of the header.
    ///   - now: milliseconds since 1970.
    public func authorise(
        _ authorization: String?, project: String, need: Need, now: Int64
    ) throws(Refusal) -> Grant {
        guard mode == .projectJWT else { return .open }
        let verified = try verify(authorization, project: project, now: now)
        let claims = verified.claims
        let isAllowed =
            switch need {
            case .token: true
            case .read(let path): claims.scope.contains(.read) && claims.covers(path: path)
            case .write(let path): claims.scope.contains(.write) && claims.covers(path: path)
            case .list:
                claims.scope.contains(.manage) || (claims.scope.contains(.read) && claims.streamID == nil)
            }
        guard isAllowed else { throw .forbidden("scope or stream_id of the token does not cover this") }
        return Grant(claims: claims, secret: verified.secret)
    }

    private func verify(
        _ authorization: String?, project name: String, now: Int64
    ) throws(Refusal) -> Verified {
        guard let authorization, let token = BearerCredentials.token(in: authorization), let registry else {
            throw .missing
        }
        let question = Question(project: name, authorization: authorization)
        // Strings that are equal have equal bytes only among those of ASCII.
        let isMemorable =
            authorization.utf8.count <= AccessControl.rememberedLength
            && isASCII(authorization)
        let version = registry.version
        let known: Verified? = remembered.withLock { memory in
            if memory.version != version { memory = Remembered(version: version) }
            return isMemorable ? memory.claims[question] : nil
        }
        do throws(TokenProblem) {
            if let known {
                try known.claims.check(now: now)
                return known
            }
            let secrets = registry.project(name)?.secrets ?? []
            let (claims, index) = try TokenVerifier.verify(
                token, secrets: secrets.map(\.key), project: name, now: now)
            let verified = Verified(claims: claims, secret: secrets[index].id)
            if isMemorable {
                remembered.withLock { memory in
                    guard memory.version == version else { return }
                    if memory.claims.count >= AccessControl.rememberedLimit {
                        memory.claims.removeAll(keepingCapacity: true)
                    }
                    memory.claims[question] = verified
                }
            }
            return verified
        } catch {
            throw .invalid(error.description)
        }
    }

    /// What answers of a project say about origins; nil where nginx says it for all.
    public func crossOrigin(project: @autoclosure () -> String?, origin: String?) -> CrossOrigin? {
        guard mode != .none else { return nil }
        guard let project = project(), let known = registry?.project(project) else { return CrossOrigin() }
        return known.origins.answer(to: origin)
    }

    /// The part of a URL that lets shared caches keep reads of a stream which not everybody may read; nil for others.
    public func readerKey(of state: StreamState) -> String? {
        guard mode != .none, !state.isPublic, let key else { return nil }
        return key.readerKey(
            project: state.name.project, projectGeneration: projectGeneration(of: state),
            stream: state.instance, streamGeneration: state.readerGeneration)
    }

    /// Tells the content that a URL means now from what it meant before: another with each creation of the stream and
    /// each change of its reader key.
    public func generation(of state: StreamState) -> String {
        "\(state.instance)-\(state.readerGeneration)-\(projectGeneration(of: state))"
    }

    /// What entity tags hold besides, so that copies which carry an older answer about origins are not said to be good
    /// still: where nginx asks somebody else, nothing tells it of the change.
    public func originGeneration(of state: StreamState) -> String {
        guard mode == .delegate, let project = registry?.project(state.name.project) else { return "" }
        return project.origins == .none ? "" : "-\(project.originGeneration)"
    }

    private func projectGeneration(of state: StreamState) -> Int64 {
        registry?.project(state.name.project)?.readerGeneration ?? 0
    }
}

/// Eight bytes at a time: it is asked with each request.
private func isASCII(_ text: String) -> Bool {
    var text = text
    return text.withUTF8 { bytes in
        let raw = UnsafeRawBufferPointer(bytes)
        var (index, all) = (0, UInt64(0))
        while index + 8 <= raw.count {
            all |= raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            index += 8
        }
        while index < raw.count {
            all |= UInt64(raw[index])
            index += 1
        }
        return all & 0x8080_8080_8080_8080 == 0
    }
}
