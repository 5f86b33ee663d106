/// An RFC 3339 `date-time`, as `Stream-Expires-At` carries it (PROTOCOL section 8.1).
public struct Timestamp: Equatable, Sendable {
    /// Milliseconds since 1970-01-01T00:00:00Z; finer fractions are cut off.
    public let milliseconds: Int64

    /// Reads `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`, any number of fraction digits, `T` and `Z` in
    /// either letter case (RFC 3339 section 5.6); anything else gives nil.
    public init?(_ text: String) {
        var scanner = Scanner(bytes: Array(text.utf8))
        guard let year = scanner.number(digits: 4), scanner.skip("-"),
            let month = scanner.number(digits: 2), scanner.skip("-"),
            let day = scanner.number(digits: 2), scanner.skip("T"),
            let hour = scanner.number(digits: 2), scanner.skip(":"),
            let minute = scanner.number(digits: 2), scanner.skip(":"),
            let second = scanner.number(digits: 2),
            let fraction = scanner.fraction(),
            let zone = scanner.zoneMinutes(), scanner.atEnd
        else { return nil }
        // A leap second (60) is part of the grammar and counts as the second after it.
        guard (1...12).contains(month), day >= 1, day <= daysIn(month: month, year: year),
            hour <= 23, minute <= 59, second <= 60
        else { return nil }
        let days = daysSinceEpoch(year: year, month: month, day: day)
        let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - zone * 60
        milliseconds = seconds * 1_000 + fraction
    }

    /// Writes a time as `YYYY-MM-DDThh:mm:ssZ`, without the fraction.
    ///
    /// - Parameter milliseconds: since 1970, within the years 0 to 9999.
    public static func text(milliseconds: Int64) -> String {
        let seconds = milliseconds >= 0 ? milliseconds / 1_000 : (milliseconds - 999) / 1_000
        let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
        let rest = seconds - days * 86_400
        let (year, month, day) = date(daysSinceEpoch: days)
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
            + "T\(padded(rest / 3_600, 2)):\(padded(rest / 60 % 60, 2)):\(padded(rest % 60, 2))Z"
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

private struct Scanner {
    let bytes: [UInt8]
    var index = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var atEnd: Bool { index == bytes.count }

    mutating func number(digits count: Int) -> Int64? {
        guard index + count <= bytes.count else { return nil }
        var value: Int64 = 0
        for _ in 0..<count {
            guard let digit = decimalDigit(bytes[index]) else { return nil }
            value = value * 10 + digit
            index += 1
        }
        return value
    }

    mutating func skip(_ character: Character) -> Bool {
        guard !atEnd, let expected = character.asciiValue else { return false }
        let byte = bytes[index]
        guard byte == expected || (character.isLetter && byte == expected | 0x20) else { return false }
        index += 1
        return true
    }

    /// Milliseconds of the optional fraction; nil when a full stop stands without a digit.
    mutating func fraction() -> Int64? {
        guard skip(".") else { return 0 }
        let start = index
        var milliseconds: Int64 = 0
        var weight: Int64 = 100
        while !atEnd, let digit = decimalDigit(bytes[index]) {
            milliseconds += digit * weight
            weight /= 10
            index += 1
        }
        return index > start ? milliseconds : nil
    }

    mutating func zoneMinutes() -> Int64? {
        if skip("Z") { return 0 }
        let sign: Int64
        if skip("+") {
            sign = 1
        } else if skip("-") {
            sign = -1
        } else {
            return nil
        }
        guard let hour = number(digits: 2), skip(":"), let minute = number(digits: 2), hour <= 23,
            minute <= 59
        else { return nil }
        return sign * (hour * 60 + minute)
    }
}

private func daysIn(month: Int64, year: Int64) -> Int64 {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, counted in years that begin in March so
/// that the leap day comes last.
private func daysSinceEpoch(year: Int64, month: Int64, day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
}

/// The reverse of `daysSinceEpoch`.
private func date(daysSinceEpoch days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
    return (
        yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    )
}
