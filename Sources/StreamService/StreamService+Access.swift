import StreamAccess
import StreamProtocol
import StreamStore

/// Who may do what (PROTOCOL section 3.0, row 4).
extension StreamService {
    /// Judges a request.
    func authorise(
        _ request: ServiceRequest, project: String, need: AccessControl.Need
    ) throws(ServiceError) -> AccessControl.Grant {
        if request.isAdministrators { return .open }
        do throws(AccessControl.Refusal) {
            return try judge(request, project, need)
        } catch {
            throw answer(to: error, request)
        }
    }

    /// Judges a read: what is public anyone may read, with whatever token.
    func authoriseRead(
        _ request: ServiceRequest, _ name: StreamName, _ reader: StoreReader
    ) throws(ServiceError) -> AccessControl.Grant {
        guard options.access.mode == .projectJWT, !request.isAdministrators else { return .open }
        let refusal: AccessControl.Refusal
        do throws(AccessControl.Refusal) {
            return try judge(request, name.project, .read(name.path))
        } catch {
            refusal = error
        }
        guard try isPublic(name, reader) else { throw answer(to: refusal, request) }
        return .open
    }

    private func judge(
        _ request: ServiceRequest, _ project: String, _ need: AccessControl.Need
    ) throws(AccessControl.Refusal) -> AccessControl.Grant {
        try options.access.authorise(
            request.headers[.authorization], project: project, need: need, now: options.clock())
    }

    /// The operator hears why a request is refused; the client doesn't.
    private func answer(to refusal: AccessControl.Refusal, _ request: ServiceRequest) -> ServiceError {
        request.trace?.mark(.judged)
        // A refused verdict leads to the question itself, which is judged again.
        if !request.asksForVerdict {
            options.refused("\(request.method) \(request.target.path): \(refusal.reason)")
        }
        return switch refusal {
        case .missing: .tokenRequired
        case .invalid: .tokenInvalid
        case .forbidden: .forbidden
        }
    }

    /// Judges what changes a stream.
    func authoriseWrite(
        _ request: ServiceRequest, _ name: StreamName
    ) throws(ServiceError) -> AccessControl.Grant {
        guard options.access.mode == .projectJWT else { return .open }
        return try authorise(request, project: name.project, need: .write(name.path))
    }

    private func isPublic(_ name: StreamName, _ reader: StoreReader) throws(ServiceError) -> Bool {
        do throws(StoreError) {
            guard case .present(let found) = try reader.find(name, now: options.clock()) else { return false }
            return found.0.isPublic
        } catch {
            options.failed(error)
            throw ServiceError(error)
        }
    }

    /// Whether caches that serve others must not keep an answer (PROTOCOL section 9.1).
    ///
    /// A stream that not everybody may read is for shared caches only under a URL that holds its reader key: nobody
    /// finds the copy who was not told the key.
    func isPrivate(_ state: StreamState, _ request: ServiceRequest) -> Bool {
        if request.isAdministrators { return true }
        guard options.access.mode != .none else { return request.headers[.authorization] != nil }
        if state.isPublic { return false }
        guard let asked = ReadQuery.readerKey(in: request.target.query),
            let key = options.access.readerKey(of: state)
        else { return true }
        return !Cryptography.isEqual(asked, Array(key.utf8))
    }

    /// Says who may read a stream, to those who may.
    func showAccess(to state: StreamState, in response: inout ServiceResponse) {
        if state.isPublic {
            response.add("Stream-Public", fixed: "true")
            response.exposed.insert(.access)
        }
        if let key = options.access.readerKey(of: state) {
            response.add("Stream-Reader-Key", key)
            response.exposed.insert(.access)
        }
    }

    /// Answers nginx, which asks before it serves a read from its cache: `DS-Verdict` when the client may have what the
    /// cache holds for this generation of the stream. Anything else it is to ask the pool for, which then says what is
    /// wrong.
    func verdict(_ request: ServiceRequest, _ reader: StoreReader) -> ServiceResponse {
        var response = ServiceResponse(status: 204)
        do throws(ServiceError) {
            if let rejection = request.rejection { throw rejection }
            guard case .stream(let name) = request.target.route else { throw .noRoute }
            let now = options.clock()
            let (state, _) = try reading { () throws(StoreError) in try reader.find(name, now: now) }
            let grant: AccessControl.Grant
            do throws(AccessControl.Refusal) {
                grant = try judge(request, name.project, .read(name.path))
            } catch {
                guard state.isPublic else { throw answer(to: error, request) }
                grant = .open
            }
            request.trace?.mark(.judged)
            response.add(HeaderName.proxyExpires, rememberedUntil(grant, request))
            response.add("DS-Verdict", options.access.generation(of: state))
        } catch {
            response.add(HeaderName.proxyExpires, fixed: "0")
        }
        return response
    }
}

extension StreamService {
    /// Until when nginx remembers a verdict: to the end of the present second by its own clock, or not at all.
    ///
    /// Never when the token ends before that, nor that a stream is public, since one made again at its URL may not be.
    private func rememberedUntil(_ grant: AccessControl.Grant, _ request: ServiceRequest) -> String {
        let second = options.proxyClock() / 1_000
        let length = [.authorization, .origin].reduce(request.target.path.utf8.count) {
            $0 + (request.headers[$1]?.utf8.count ?? 0)
        }
        guard let expires = grant.expires,
            expires - options.clock() >= (second + 1) * 1_000 - options.proxyClock(),
            length <= VerdictBudget.longestKey, verdicts.take(in: second)
        else { return "0" }
        return "@\(second)"
    }
}

extension ServiceResponse {
    /// Says which origins may read the answer; nginx makes headers of it (nginx/durable-streams-headers.conf).
    mutating func add(_ crossOrigin: CrossOrigin?) {
        guard let crossOrigin else { return }
        if let allowed = crossOrigin.allowed { add("DS-Allow-Origin", allowed) }
        if crossOrigin.varies { add("DS-Vary", fixed: "Origin") }
    }
}
