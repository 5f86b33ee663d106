/// One server-sent event (WHATWG HTML, section 9.2).
public struct ServerEvent: Sendable, Equatable {
    /// Its type: `data`, `control`, or `message` where none was given.
    public var type: String
    /// Its data lines, joined by line feeds.
    public var data: [UInt8]

    /// An event.
    public init(type: String, data: [UInt8]) {
        self.type = type
        self.data = data
    }
}

/// Reads server-sent events from parts of any size.
public struct ServerEventParser: Sendable {
    /// Comment lines so far: what keeps a quiet response open.
    public private(set) var comments = 0

    /// Whether nothing has come at all.
    public var isUntouched: Bool { isAtStart && line.isEmpty }

    private var line: [UInt8] = []
    private var endsWithCarriageReturn = false
    private var type = ""
    private var data: [UInt8]?
    private var isAtStart = true

    /// A parser at the beginning of a response.
    public init() {}

    /// Takes a part of the response.
    ///
    /// - Returns: the events that it completes.
    public mutating func take(_ bytes: UnsafeRawBufferPointer) -> [ServerEvent] {
        var events: [ServerEvent] = []
        var rest = bytes[...]
        while let end = rest.firstIndex(where: { $0 == 0x0A || $0 == 0x0D }) {
            // CR LF is one end of a line, also where a part ends between them.
            if rest[end] == 0x0A, endsWithCarriageReturn, line.isEmpty, end == rest.startIndex {
                endsWithCarriageReturn = false
                rest = rest[(end + 1)...]
                continue
            }
            line.append(contentsOf: rest[..<end])
            endsWithCarriageReturn = rest[end] == 0x0D
            if let event = endLine() { events.append(event) }
            rest = rest[(end + 1)...]
        }
        if !rest.isEmpty {
            line.append(contentsOf: rest)
            endsWithCarriageReturn = false
        }
        return events
    }

    private mutating func endLine() -> ServerEvent? {
        defer { line.removeAll(keepingCapacity: true) }
        if isAtStart {
            isAtStart = false
            if line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
        }
        guard !line.isEmpty else {
            defer { (type, data) = ("", nil) }
            guard let data else { return nil }
            return ServerEvent(type: type.isEmpty ? "message" : type, data: data)
        }
        let colon = line.firstIndex(of: UInt8(ascii: ":"))
        let name = line[..<(colon ?? line.endIndex)]
        var value = colon.map { line[($0 + 1)...] } ?? []
        if value.first == 0x20 { value = value.dropFirst() }
        if name.isEmpty {
            comments += 1
        } else if name.elementsEqual("event".utf8) {
            type = String(decoding: value, as: UTF8.self)
        } else if name.elementsEqual("data".utf8) {
            if data == nil {
                data = Array(value)
            } else {
                data?.append(0x0A); data?.append(contentsOf: value)
            }
        }
        return nil
    }
}
