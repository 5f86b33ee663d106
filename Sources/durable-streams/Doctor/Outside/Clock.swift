import Glibc
import StreamClient
import StreamProtocol

/// The server's clock is right, as far as ours is.
enum Clock: SiteCheck {
    static let name = "clock"
    static let need = SiteNeed.nothing

    /// Seconds that nobody minds: `Date` has whole ones.
    private static let slack = 5.0
    /// Seconds that tokens are forgiven.
    private static let leeway = 60.0

    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis] {
        let before = now
        // Of what no cache may answer.
        let answer = try site.send("OPTIONS", site.target("clock"))
        let after = now
        guard let text = answer.fields["Date"], let date = seconds(text) else {
            throw .skipped("answers have no Date")
        }
        let off = date - (before + after) / 2
        site.measured.append(("clock_seconds", .number(Int64(off.rounded()))))
        guard abs(off) > slack else { return [] }
        return [
            Diagnosis(
                abs(off) > leeway ? .error : .warning,
                seen:
                    "the server's clock is \(Int(abs(off).rounded())) s \(off > 0 ? "ahead of" : "behind") this one's",
                matters:
                    "tokens are refused or live too long, and streams expire at another time than was said",
                mend: "timedatectl set-ntp true, on whichever machine is wrong (timedatectl timesync-status)")
        ]
    }

    /// Seconds since 1970.
    static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// Reads `Thu, 26 Nov 2026 00:14:35 GMT` (RFC 9110 section 5.6.7) and `Nov 26 00:14:35 2026 GMT` of certificates as
    /// seconds since 1970.
    static func seconds(_ text: String) -> Double? {
        var parts = text.split(separator: " ").map(String.init)
        if parts.count == 6 {
            parts.removeFirst()
        } else if parts.count == 5 {
            parts = [1, 0, 3, 2].map { parts[$0] }
        }
        guard parts.count >= 4, let month = months.firstIndex(of: parts[1]) else { return nil }
        let padded: (String) -> String = { $0.count == 1 ? "0" + $0 : $0 }
        let written = "\(parts[2])-\(padded("\(month + 1)"))-\(padded(parts[0]))T\(parts[3])Z"
        return Timestamp(written).map { Double($0.milliseconds) / 1e3 }
    }
}
