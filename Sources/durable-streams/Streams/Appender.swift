import Glibc
import StreamClient
import Supervision

/// Appends one after the other, each stored once. What can't be done ends the process with one line.
struct Appender {
    /// A producer of the protocol, which makes retries safe.
    struct Producer {
        let id: String
        let epoch: Int64
        /// The number of the next request.
        var sequence: Int64
    }

    /// A number that is ahead of every other: the answer tells which one is expected.
    static let ahead: Int64 = 9_007_199_254_740_991

    let url: String
    let contentType: String
    var producer: Producer?
    /// `Stream-Seq`.
    var order: String?

    /// The offset behind the last append.
    private(set) var nextOffset: String?
    /// Requests that were stored, and that were there already.
    private(set) var stored: Int64 = 0
    private(set) var duplicates: Int64 = 0

    private let calls: StreamCalls
    private var retry: Retry
    private var isAnswered = false

    init(
        _ calls: StreamCalls, url: String, contentType: String, producer: Producer?, order: String?,
        patience: Double
    ) {
        self.calls = calls
        self.url = url
        self.contentType = contentType
        self.producer = producer
        self.order = order
        retry = Retry(patience: patience)
    }

    /// Sends until it is stored.
    ///
    /// - Parameter body: of a producer, one that can be sent again.
    mutating func append(_ body: HTTPRequest.Body, closes: Bool = false) {
        while true {
            do throws(ClientError) {
                let response = try calls.append(
                    url, fields(closes: closes), body, isRepeatable: producer != nil)
                if accept(response) { return }
            } catch {
                lost(error)
            }
        }
    }

    private func fields(closes: Bool) -> HTTPFields {
        var fields: HTTPFields = [HTTPField("Content-Type", contentType)]
        if let order { fields.add("Stream-Seq", order) }
        if closes { fields.add("Stream-Closed", "true") }
        if let producer {
            fields.add("Producer-Id", producer.id)
            fields.add("Producer-Epoch", "\(producer.epoch)")
            fields.add("Producer-Seq", "\(producer.sequence)")
        }
        return fields
    }

    /// Whether it is stored; else it is to be sent again.
    private mutating func accept(_ response: HTTPResponse) -> Bool {
        switch response.status {
        case 200, 204:
            nextOffset = response.fields["Stream-Next-Offset"]
            let isDuplicate =
                producer != nil && response.status == 204 && response.fields["Stream-Closed"] == nil
            if isDuplicate { duplicates += 1 } else { stored += 1 }
            producer?.sequence += 1
            isAnswered = true
            retry.succeeded()
            return true
        case 409 where !isAnswered:
            // Nothing of this run is stored yet, so its numbers may begin anywhere that leaves no gap.
            guard producer != nil,
                let expected = response.fields["Producer-Expected-Seq"].flatMap({ Int64($0) })
            else { Command.refused(url, response) }
            producer?.sequence = expected
            isAnswered = true
            return false
        default:
            guard producer != nil, Refusal.isTemporary(response), retry.wait(asked: Retry.asked(response))
            else {
                Command.refused(url, response)
            }
            return false
        }
    }

    /// No answer came: a producer sends again.
    private mutating func lost(_ error: ClientError) {
        guard error.isTemporary else { Command.fail(error) }
        if producer != nil {
            if error.kind == .refused, stored + duplicates == 0 { Command.fail(error) }
            guard retry.wait() else { Command.fail(error) }
        } else if error.kind == .refused {
            Command.fail(error)
        } else {
            Command.fail(
                ClientError(
                    error.kind,
                    "\(error.message); whether it was stored is not known (with --producer-id it would be sent again)"
                ))
        }
    }
}
