import StreamProtocol
import Testing

/// PROTOCOL section 8.1, RFC 3339 section 5.6. Seconds are checked against `date -u -d … +%s`.
@Suite struct TimestampTests {
    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", Int64(0)),
            ("1969-12-31T23:59:59Z", -1_000),
            ("2026-03-01T12:00:07Z", 1_772_366_407_000),
            ("2026-03-01T12:00:07z", 1_772_366_407_000),
            ("2026-03-01t12:00:07Z", 1_772_366_407_000),
            ("2026-03-01T12:00:07+00:00", 1_772_366_407_000),
            ("2026-03-01T12:00:07-00:00", 1_772_366_407_000),
            ("2026-03-01T18:30:00.250+01:00", 1_772_386_200_250),
            ("2026-03-01T17:30:07+05:30", 1_772_366_407_000),
            ("2026-03-01T00:00:07-12:00", 1_772_366_407_000),
            ("2026-03-02T11:59:07+23:59", 1_772_366_407_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2000-03-01T00:00:00Z", 951_868_800_000),
            ("1900-02-28T00:00:00Z", -2_203_977_600_000),
            ("1900-03-01T00:00:00Z", -2_203_891_200_000),
            ("2024-02-29T23:59:59Z", 1_709_251_199_000),
            ("2024-12-31T23:59:59Z", 1_735_689_599_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
            ("1970-01-01T00:00:00+00:01", -60_000),
        ] as [(String, Int64)])
    func instant(text: String, milliseconds: Int64) throws {
        #expect(try #require(Timestamp(text)).milliseconds == milliseconds)
    }

    @Test(
        arguments: [
            (".0", Int64(0)), (".1", 100), (".25", 250), (".999", 999), (".001", 1), (".0009", 0),
            (".1239999", 123),
            ("." + String(repeating: "9", count: 400), 999),
            ("." + String(repeating: "0", count: 400) + "1", 0),
        ] as [(String, Int64)])
    func fraction(fraction: String, milliseconds: Int64) throws {
        let timestamp = try #require(Timestamp("2026-03-01T12:00:07\(fraction)Z"))
        #expect(timestamp.milliseconds == 1_772_366_407_000 + milliseconds)
    }

    @Test func leapSecondCountsAsTheNext() throws {
        let leap = try #require(Timestamp("2016-12-31T23:59:60Z"))
        #expect(leap == (try #require(Timestamp("2017-01-01T00:00:00Z"))))
        #expect(Timestamp("2016-12-31T23:59:61Z") == nil)
        #expect(Timestamp("2016-12-31T15:59:60-08:00") == leap)
    }

    @Test(arguments: [
        "", "not-a-timestamp", "2030", "2030-01-01", "Jan 1 2030", "2030-01-01T00:00:00", "2030-01-01T00:00Z",
        "2030-13-01T00:00:00Z", "2030-00-01T00:00:00Z", "2030-01-00T00:00:00Z", "2030-01-32T00:00:00Z",
        "2030-04-31T00:00:00Z", "2030-06-31T00:00:00Z", "2030-09-31T00:00:00Z", "2030-11-31T00:00:00Z",
        "2030-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-02-30T00:00:00Z",
        "2030-01-01T24:00:00Z", "2030-01-01T00:60:00Z", "2030-01-01T00:00:61Z", "2030-01-01 00:00:00Z",
        "2030-01-01T00:00:00 Z", "2030-01-01T00:00:00.Z", "2030-01-01T00:00:00,5Z", "2030-01-01T00:00:00.5",
        "2030-01-01T00:00:00.5.5Z", "2030-01-01T00:00:00+24:00", "2030-01-01T00:00:00+00:60",
        "2030-01-01T00:00:00+0000", "2030-01-01T00:00:00+00", "2030-01-01T00:00:00+1:00",
        "2030-01-01T00:00:00ZZ",
        "2030-01-01T00:00:00Z ", " 2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z\n", "2030-1-1T00:00:00Z",
        "+2030-01-01T00:00:00Z", "-030-01-01T00:00:00Z", "12030-01-01T00:00:00Z", "2030/01/01T00:00:00Z",
        "20300101T000000Z", "2030-01-01T00:00:00UTC", "2030-W01-1T00:00:00Z", "2030-01-01T0a:00:00Z",
        "٢٠٣٠-01-01T00:00:00Z", "2030-01-01T00:00:00−01:00", "1893456000", "2030-01-01T00:00:00\0Z",
        "2030-01-01T-1:00:00Z", "2030-01-01T00:00:00.-5Z", "2030-01-01T00:00:00:00Z",
        "2030\r01\r01T00:00:00Z",
    ])
    func refused(text: String) { #expect(Timestamp(text) == nil) }

    /// Every day of 800 years follows the day before it, by rules of this test's own.
    @Test func everyDayFollowsTheOneBefore() throws {
        var expected: Int64 = -11_676_096_000_000
        for year in 1600..<2400 {
            let isLeap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
            for (index, days) in [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].enumerated() {
                for day in 1...days {
                    let text = "\(year)-\(twoDigits(index + 1))-\(twoDigits(day))T00:00:00Z"
                    guard try #require(Timestamp(text), "\(text)").milliseconds == expected else {
                        Issue.record("\(text) is not \(expected)")
                        return
                    }
                    expected += 86_400_000
                }
            }
        }
    }

    private func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
}
