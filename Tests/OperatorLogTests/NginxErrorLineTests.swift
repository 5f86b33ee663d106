import OperatorLog
import ServerSettings
import Testing

@Suite struct NginxErrorLineTests {
    private let start = "2026/01/31 12:00:00 [error] 12#12: *5 "
    private let context = ", client: 127.0.0.1, server: , "

    @Test func partsAreFound() {
        let line = NginxErrorLine(
            Array(
                (start + "connect() failed (111: Connection refused) while connecting to upstream" + context
                    + #"request: "GET /v1/stream/a?rk=KEY HTTP/1.1", upstream: "fastcgi://unix:/r/worker.sock:", "#
                    + #"host: "h""#).utf8))
        #expect(line.level == .error)
        #expect(line.identifier == 12)
        #expect(
            line.message == "*5 connect() failed (111: Connection refused) while connecting to upstream"
                + context
                + #"request: "GET /v1/stream/a", upstream: "fastcgi://unix:/r/worker.sock:""#)
        #expect(line.text == start + line.message.dropFirst(3))
    }

    @Test(arguments: [
        #"request: "GET /v1/stream/a?rk=KEY HTTP/1.1", upstream: "http://unix:/r/live.sock:/v1/stream/a?rk=KEY""#,
        #"request: "GET /v1/stream/a?x="y&rk=KEY HTTP/1.1", host: "h""#,
        #"request: "GET /v1/stream/a"?rk=KEY HTTP/1.1", host: "h""#,
        #"request: "GET /a?b c?rk=KEY d HTTP/1.1", host: "h""#,
        #"request: "GET /a?rk=KEY"#,
        #"request: "GET /a HTTP/1.1", host: "h", referrer: "https://app/?rk=KEY""#,
        #"request: "GET /a HTTP/1.1", subrequest: "/.durable-streams-verdict", host: "KEY""#,
    ])
    func queriesAreCutOff(context: String) {
        let line = NginxErrorLine(Array((start + "message" + self.context + context).utf8))
        #expect(!line.text.contains("KEY") && !line.message.contains("KEY"), "\(line.text)")
        #expect(line.message.contains(#"request: "GET /"#))
    }

    @Test(arguments: [
        #"rewrite cycle while redirecting to "/v1/stream/a?rk=KEY", client: 127.0.0.1"#,
        #"user "KEY" was not found in "/p/admin.htpasswd", client: 127.0.0.1"#,
        #"user "a" KEY": password mismatch, client: 127.0.0.1"#,
        #"pcre_exec() failed: -10 on "/v1/a?rk=KEY" using "x", client: 127.0.0.1"#,
    ])
    func messagesHoldNoneEither(message: String) {
        let line = NginxErrorLine(Array((start + message).utf8))
        #expect(!line.text.contains("KEY") && !line.message.contains("KEY"), "\(line.text)")
    }

    @Test func whatIsWrongWithAConfigurationIsKept() {
        let text = #"nginx: [emerg] pcre2_compile() failed in "^(?:a" in /x/nginx.conf:22"#
        let line = NginxErrorLine(Array(text.utf8))
        #expect(line.text == text && line.level == .critical && line.identifier == nil)
        #expect(line.message == text.dropFirst("nginx: [emerg] ".count))
    }

    @Test(arguments: ["", "[", "[error] ", "no line of nginx [error] 1#1: x", "\u{FFFD}", "nginx: [odd] x"])
    func whateverElseComesIsKept(text: String) {
        let line = NginxErrorLine(Array(text.utf8))
        #expect(line.text == text && line.message == text && line.level == .error)
    }
}
