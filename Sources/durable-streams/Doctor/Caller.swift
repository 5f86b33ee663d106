import Glibc
import StreamClient

/// Sends requests for an examination: with credentials, patient with limits, and over at once when somebody wants to stop.
final class Caller {
    /// What a caller is made of; a thread makes its own of it.
    struct Recipe {
        var options: HTTPOptions
        let fields: HTTPFields
        let token: String?
    }

    let recipe: Recipe
    var ignoresInterruption = false
    private let client: HTTPClient

    init(_ recipe: Recipe) throws(Obstacle) {
        self.recipe = recipe
        do throws(ClientError) {
            client = try HTTPClient(recipe.options)
        } catch {
            throw .failed(error)
        }
    }

    /// Another one, with connections of its own.
    func another(_ change: (inout HTTPOptions) -> Void = { _ in }) throws(Obstacle) -> Caller {
        var recipe = recipe
        change(&recipe.options)
        return try Caller(recipe)
    }

    /// Seconds that an answer may take, unless a check is about waiting.
    static let usualLimit = 20.0
    /// How often a request is sent that has come upon a limit of rates.
    private static let attempts = 8

    /// - Throws: `failed` when no complete answer came.
    func send(
        _ method: String, _ url: String, _ given: HTTPFields, body: HTTPRequest.Body = .none,
        as identity: Site.Identity = .own, timeLimit: Double = Caller.usualLimit,
        callbacks: HTTPClient.Callbacks? = nil
    ) throws(Obstacle) -> HTTPResponse {
        var all = HTTPFields(given.list + recipe.fields.list)
        switch identity {
        case .own: if let token = recipe.token { all.add("Authorization", "Bearer \(token)") }
        case .nobody: all.list.removeAll { $0.name.lowercased() == "authorization" }
        case .bearer(let token): all.add("Authorization", "Bearer \(token)")
        }
        let request = HTTPRequest(
            method, url, fields: all, body: body, timeLimit: timeLimit, isRepeatable: method != "POST")
        var callbacks = callbacks ?? HTTPClient.Callbacks()
        let (goesOn, ignoresInterruption) = (callbacks.goesOn, ignoresInterruption)
        callbacks.goesOn = { goesOn() && (ignoresInterruption || !Interruption.isRequested) }
        var answer: HTTPResponse
        var attempt = 1
        repeat {
            do throws(ClientError) {
                answer = try client.send(request, callbacks)
            } catch {
                throw Interruption.isRequested && !ignoresInterruption ? .interrupted : .failed(error)
            }
            if Interruption.isRequested, !ignoresInterruption { throw .interrupted }
            guard answer.status == 429 else { break }
            sleep(1)
            attempt += 1
        } while attempt <= Caller.attempts
        return answer
    }
}
