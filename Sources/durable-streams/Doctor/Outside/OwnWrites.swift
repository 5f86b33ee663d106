import StreamClient

/// Who reads after the answer to an append sees it.
enum OwnWrites: SiteCheck {
    static let name = "own-writes"
    static let need = SiteNeed.writing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let target = try site.makeStream("own-writes", body: "before ")
        // Whatever may keep a copy has seen the answer now.
        for _ in 1...2 { _ = try site.send("GET", target) }
        try site.append("after", to: target)
        let answer = try site.send("GET", target)
        guard answer.status == 200, answer.text == "before " else { return [] }
        return [
            Diagnosis(
                .error, seen: "a read after an append shows what was there before it\(age(answer))",
                matters:
                    "a cache keeps answers that reached the end of a stream; readers do not see their own writes",
                mend:
                    "proxy_cache off; in your proxy (nginx), or proxy_no_cache $upstream_http_stream_up_to_date;"
            )
        ]
    }

    /// What the answer says of its age.
    static func age(_ answer: HTTPResponse) -> String {
        answer.fields["Age"].map { " (Age: \($0))" } ?? ""
    }
}
