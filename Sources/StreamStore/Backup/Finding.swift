/// Something that is wrong with stored data, for the operator.
public struct Finding: Equatable, Sendable, CustomStringConvertible {
    /// What it is about: a path, or a stream.
    public let subject: String
    /// What is wrong.
    public let what: String
    /// The command that mends it.
    public let mend: String

    /// One line.
    public var description: String { "\(subject): \(what); to mend: \(mend)" }

    /// The command that helps where nothing less does.
    static let restore = "durable-streams restore BACKUP --data-dir NEW"

    init(subject: String, what: String, mend: String) {
        self.subject = subject
        self.what = what
        self.mend = mend
    }

    /// Something in the rows of a stream.
    init(stream name: String, _ what: String) {
        self.init(subject: "stream \(name)", what: what, mend: Finding.restore)
    }

    /// A path or name as a shell takes it.
    public static func quoted(_ text: String) -> String {
        let plain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."),
                UInt8(ascii: "_"),
                UInt8(ascii: "-"):
                true
            default: false
            }
        }
        return plain && !text.isEmpty ? text : "'" + text.replacing("'", with: "'\\''") + "'"
    }
}

/// How far a long piece of work has come.
public struct Progress: Sendable {
    /// What is being done.
    public let step: String
    /// Bytes or rows done, of how many.
    public let done: Int64
    /// How many there are.
    public let total: Int64
    /// Whether these are bytes.
    public let isBytes: Bool
}

/// Who hears of long work.
public struct WorkObserver {
    /// Takes what is wrong.
    public var found: (Finding) -> Void
    /// Takes how far it has come, many times a second.
    public var progress: (Progress) -> Void

    /// Collects both.
    public init(found: @escaping (Finding) -> Void, progress: @escaping (Progress) -> Void) {
        self.found = found
        self.progress = progress
    }
}
