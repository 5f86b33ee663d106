import StreamClient

/// Bodies as large as the server takes them get through to it.
enum BodyLimit: SiteCheck {
    static let name = "body-limit"
    static let need = SiteNeed.writing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let target = try site.makeStream("body", type: "application/octet-stream")
        // Just above what nginx takes where nobody said otherwise, and just below what the server does.
        for size in [(1 << 20) + 1_024, site.largestBody - 1_024] where size > 0 && size < site.largestBody {
            let answer: HTTPResponse
            do throws(Obstacle) {
                answer = try site.send(
                    "POST", target, [HTTPField("Content-Type", "application/octet-stream")],
                    body: .bytes([UInt8](repeating: 0x2E, count: size)))
            } catch {
                // A proxy that hangs up while it is being sent.
                guard case .failed(let failure) = error, failure.kind == .lost else { throw error }
                return [diagnosis(size, "the connection is closed", site)]
            }
            // The server's own limit is another than we think.
            if answer.code != nil {
                throw .skipped("the server takes less than \(size) bytes: \(answer.line)")
            }
            if answer.status >= 400 { return [diagnosis(size, "the answer is \(answer.line)", site)] }
        }
        return []
    }

    private static func diagnosis(_ size: Int, _ what: String, _ site: Site) -> Diagnosis {
        let megabytes = (site.largestBody + (1 << 20) - 1) >> 20
        return Diagnosis(
            .error, seen: "an append of \(size) bytes does not reach the server: \(what)",
            matters: "large appends fail with an answer that is not the server's",
            mend:
                "client_max_body_size \(megabytes)m; in your proxy (nginx), or DS_MAX_BODY_BYTES as low as its limit"
        )
    }
}
