/// What each append carries: `T`, the nanosecond at which it was due, a space, its index, a space, filling
/// and a line feed. The line feed makes a line of its own in a data event that covers several appends.
enum Message {
    private static let timeDigits = 20
    private static let indexDigits = 10

    /// Bytes before the filling, and the line feed.
    static let header = 1 + timeDigits + 1 + indexDigits + 2

    /// Bytes at the start of a line of a data event that are enough to know the message.
    static let linePrefix = 6 + 1 + timeDigits + 1 + indexDigits

    /// A message of `size` bytes.
    static func bytes(due: Int64, index: Int, size: Int) -> [UInt8] {
        let head = "T" + padded(due, timeDigits) + " " + padded(Int64(index), indexDigits) + " "
        var bytes = Array(head.utf8)
        bytes.append(contentsOf: repeatElement(UInt8(ascii: "x"), count: size - bytes.count - 1))
        bytes.append(UInt8(ascii: "\n"))
        return bytes
    }

    /// The message in a line `data:T…` or `data: T…`, or nil when the line is another one.
    static func parse(line: UnsafePointer<UInt8>, count: Int) -> (due: Int64, index: Int)? {
        guard count >= linePrefix, line[4] == UInt8(ascii: ":") else { return nil }
        let start = line[5] == UInt8(ascii: " ") ? 6 : 5
        return parse(message: line + start, count: count - start)
    }

    /// The message that begins here, or nil when it is something else.
    static func parse(message: UnsafePointer<UInt8>, count: Int) -> (due: Int64, index: Int)? {
        guard count >= 1 + timeDigits + 1 + indexDigits, message[0] == UInt8(ascii: "T") else { return nil }
        let due = number(message + 1, timeDigits)
        return (due, Int(number(message + 1 + timeDigits + 1, indexDigits)))
    }

    private static func padded(_ value: Int64, _ digits: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: digits - text.count) + text
    }

    private static func number(_ digits: UnsafePointer<UInt8>, _ count: Int) -> Int64 {
        var value: Int64 = 0
        for index in 0..<count {
            value = value &* 10 &+ Int64(digits[index] &- UInt8(ascii: "0"))
        }
        return value
    }
}
