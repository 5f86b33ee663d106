import Glibc
import StreamClient

/// The certificate is trusted, and is so for a while.
enum Certificate: SiteCheck {
    static let name = "certificate"
    static let need = SiteNeed.nothing

    /// Days before its end at which somebody should look.
    private static let reserve = 14.0

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        guard site.address.isTLS else { throw .skipped("no TLS") }
        guard site.caller.recipe.options.checksCertificate else { throw .skipped("it is not trusted") }
        guard let text = site.first?.facts.certificates.first?["Expire date"], let end = Clock.seconds(text)
        else {
            throw .skipped("the certificate can't be read")
        }
        let days = (end - Clock.now) / 86_400
        site.measured.append(("certificate_days", .number(Int64(days))))
        guard days < reserve else { return [] }
        return [
            Diagnosis(
                .warning, seen: "the certificate ends in \(Int(days)) days (\(text))",
                matters: "nobody gets in then",
                mend:
                    "certbot renew && nginx -s reload, and see why its timer did not: systemctl status certbot.timer"
            )
        ]
    }

    /// What TLS said.
    static func refused(_ failure: ClientError, _ site: Site) -> Diagnosis {
        let words = failure.message
        let host = site.address.authority.prefix { $0 != ":" }
        let mend =
            if words.contains("expired") {
                "certbot renew && nginx -s reload"
            } else if words.contains("subject name") || words.contains("match") {
                "certbot certonly -d \(host), and ssl_certificate with that one (nginx)"
            } else if words.contains("local issuer") {
                "ssl_certificate …/fullchain.pem; in place of cert.pem (nginx): the chain belongs to it"
            } else {
                "certbot certonly -d \(host); for a certificate authority of your own give doctor --cacert"
            }
        return Diagnosis(
            .error, seen: "the certificate is not accepted: \(words)", matters: "clients refuse to connect",
            mend: mend)
    }
}

extension [HTTPField] {
    fileprivate subscript(name: String) -> String? { first { $0.name == name }?.value }
}

/// TLS is of a version that counts as safe.
enum TLSVersion: SiteCheck {
    static let name = "tls-version"
    static let need = SiteNeed.nothing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        guard site.address.isTLS, let version = site.first?.facts.tlsVersion else { throw .skipped("no TLS") }
        site.measured.append(("tls", .string(version)))
        guard version != "TLSv1.3" else { return [] }
        let isOld = version != "TLSv1.2"
        return [
            Diagnosis(
                isOld ? .error : .note, seen: "the newest TLS that the server speaks is \(version)",
                matters: isOld ? "it is broken" : "each connection needs a round trip more",
                mend: "ssl_protocols TLSv1.2 TLSv1.3; (nginx)")
        ]
    }
}

/// Browsers open six connections to a host, unless it speaks HTTP/2.
enum HTTP2: SiteCheck {
    static let name = "http2"
    static let need = SiteNeed.nothing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        guard let version = site.first?.head.version else { throw .skipped("no answer") }
        site.measured.append(("http", .string(version)))
        guard site.address.isTLS else { throw .skipped("no TLS") }
        guard version.hasPrefix("1") else { return [] }
        return [
            Diagnosis(
                .warning, seen: "the server speaks HTTP/\(version) at most",
                matters: "a page in a browser stops at six live readers",
                mend: "listen 443 ssl http2; (nginx before 1.25.1), or http2 on;")
        ]
    }
}

/// Whoever asks without TLS is sent to it, and no token travels in the open.
enum PlainHTTP: SiteCheck {
    static let name = "plain-http"
    static let need = SiteNeed.nothing

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        guard site.address.isTLS else {
            guard site.isGuarded, !site.address.isLoopback else { return [] }
            return [
                Diagnosis(
                    .warning, seen: "tokens travel without TLS to \(site.address.authority)",
                    matters: "whoever sees them on the way may use them",
                    mend: "listen 443 ssl http2; (nginx)")
            ]
        }
        guard let url = site.plainURL else { throw .skipped("name the http URL with --plain-url") }
        let answer: HTTPResponse
        do throws(Obstacle) {
            answer = try site.caller.another { $0.connectLimit = 3 }.send("GET", url, [], as: .nobody)
        } catch {
            guard case .failed = error else { throw error }
            throw .skipped("nobody answers at \(url)")
        }
        if (300..<400).contains(answer.status), answer.fields["Location"]?.hasPrefix("https://") == true {
            return []
        }
        return [
            Diagnosis(
                .warning, seen: "\(url) is answered \(answer.line) in place of a redirection to https",
                matters: "clients that begin with http stay there, with their tokens",
                mend: "server { listen 80; return 308 https://$host$request_uri; } (nginx)")
        ]
    }
}
