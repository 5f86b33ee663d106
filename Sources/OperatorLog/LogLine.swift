import ServerSettings
import StreamProtocol

/// One line of a log: what happened, and numbers and words that go with it.
public struct LogLine: Sendable {
    /// What goes with a message.
    public enum Value: Sendable, Equatable {
        case text(String)
        /// A whole number.
        case number(Int64)
        /// Nanoseconds, written as milliseconds with three digits.
        case duration(Int64)
    }

    /// Milliseconds since 1970.
    public var time: Int64
    /// How serious it is; the names are those of swift-log.
    public var level: LogLevel
    /// Which process says it: `supervisor`, `worker`, `live` or `nginx`.
    public var process: String
    /// That process's number.
    public var identifier: Int32
    /// What happened, for people.
    public var message: String
    /// The request that it is about, if it is about one.
    public var requestID: String?
    /// What goes with the message, in the order in which it is written.
    public var fields: [(name: String, value: Value)] = []

    /// Begins a line.
    public init(
        time: Int64, level: LogLevel, process: String, identifier: Int32, message: String,
        requestID: String? = nil
    ) {
        self.time = time
        self.level = level
        self.process = process
        self.identifier = identifier
        self.message = message
        self.requestID = requestID
    }

    /// The line with its end. Whatever is in it, it is one line.
    public func bytes(_ format: LogFormat) -> [UInt8] {
        switch format {
        case .json: Array(json.utf8)
        case .text: Array(text.utf8)
        }
    }

    private var json: String {
        var line =
            #"{"time":"\#(clock)","level":"\#(level.rawValue)","process":"\#(process)","pid":\#(identifier)"#
        line += #","message":\#(JSONText.quoted(message))"#
        if let requestID { line += #","request_id":\#(JSONText.quoted(requestID))"# }
        for (name, value) in fields {
            line += ",\(JSONText.quoted(name)):"
            switch value {
            case .text(let text): line += JSONText.quoted(text)
            case .number(let number): line += "\(number)"
            case .duration(let nanoseconds): line += LogLine.milliseconds(nanoseconds)
            }
        }
        return line + "}\n"
    }

    private var text: String {
        var line = "\(clock) \(level.rawValue) \(process)[\(identifier)]: \(LogLine.printable(message))"
        if let requestID { line += " request_id=\(LogLine.printable(requestID))" }
        for (name, value) in fields {
            line += " \(name)="
            switch value {
            case .text(let text): line += LogLine.printable(text)
            case .number(let number): line += "\(number)"
            case .duration(let nanoseconds): line += LogLine.milliseconds(nanoseconds)
            }
        }
        return line + "\n"
    }

    /// `YYYY-MM-DDThh:mm:ss.sssZ`
    private var clock: String {
        let seconds = Timestamp.text(milliseconds: time).dropLast()
        return "\(seconds).\(LogLine.padded(time % 1_000))Z"
    }

    private static func milliseconds(_ nanoseconds: Int64) -> String {
        let microseconds = max(0, nanoseconds) / 1_000
        return "\(microseconds / 1_000).\(padded(microseconds % 1_000))"
    }

    private static func padded(_ number: Int64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 3 - digits.count)) + digits
    }

    /// Control characters would end the line, or move the cursor of whoever reads it.
    private static func printable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if isControl(scalar) {
                let digits = String(scalar.value, radix: 16)
                result += "\\x" + String(repeating: "0", count: max(0, 2 - digits.count)) + digits
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
    }
}
