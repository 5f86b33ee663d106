/// The identity of a stream: a project and a relative path, both normalised (PROTOCOL section 13.4).
public struct StreamName: Equatable, Hashable, Sendable {
    /// `project/relative/path`. A project holds no slash, so the first one ends it.
    public let text: String

    /// The project of URLs that name none.
    public static let defaultProject = "_default"

    /// Joins a project and a normalised relative path.
    public init(project: String, path: String) { text = project + "/" + path }

    /// A path in the project of URLs that name none; it needs no normalisation.
    init(inDefaultProject path: UnsafeBufferPointer<UInt8>) {
        let prefix: StaticString = "_default/"
        let length = prefix.utf8CodeUnitCount
        text = String(unsafeUninitializedCapacity: length + path.count) { buffer in
            for index in 0..<length { buffer[index] = prefix.utf8Start[index] }
            return buffer[length...].initialize(fromContentsOf: path)
        }
    }

    /// Takes the joined form, as the store keeps it.
    public init(text: String) { self.text = text }

    /// What stands before the first slash.
    public var project: String { String(text[..<slash]) }

    /// What stands behind it.
    public var path: String { String(text[slash...].dropFirst()) }

    private var slash: String.Index { text.utf8.firstIndex(of: UInt8(ascii: "/")) ?? text.endIndex }

    /// Whether a project may have a name: 1…64 letters, digits, `_`, `-`, `.` or `~`.
    public static func isProjectName(_ name: some Collection<UInt8>) -> Bool {
        (1...64).contains(name.count) && name.allSatisfy(isUnreserved)
    }
}

/// Where a request path leads.
public enum Route: Equatable, Sendable {
    /// A stream.
    case stream(StreamName)
    /// The control API of a project: `__ds` or below it (PROTOCOL section 12).
    case control(project: String)
    /// The list of a project's streams: `/v1/{project}/streams`.
    case streams(project: String)
    /// `/healthz`: is the process alive?
    case health
    /// `/readyz`: can it serve?
    case ready
    /// Outside every stream root, or a root itself.
    case unknown
    /// A path that no stream may have (400).
    case unsafe
    /// Longer than `RequestTarget.maximumPath` (414).
    case tooLong

    /// The project that it belongs to.
    public var project: String? {
        switch self {
        case .stream(let name): name.project
        case .control(let project), .streams(let project): project
        default: nil
        }
    }
}

/// A request target, split into a route and a query (PROTOCOL sections 2.3, 4.3 and 13.4).
public struct RequestTarget: Sendable {
    /// Longest path in bytes.
    public static let maximumPath = 2_048
    /// Longest query in bytes.
    public static let maximumQuery = 4_096

    /// Where the path leads.
    public let route: Route
    /// The target as it came.
    public let raw: String
    /// Bytes before the question mark.
    private let pathLength: Int

    /// The path as it came, without the query.
    public var path: String { String(raw[..<mark]) }

    /// The undecoded query, without the question mark; nil when there is none.
    public var query: String? { mark == raw.endIndex ? nil : String(raw[raw.utf8.index(after: mark)...]) }

    private var mark: String.Index { raw.utf8.index(raw.startIndex, offsetBy: pathLength) }

    /// Splits and judges the raw request target.
    public init(raw: String) {
        var text = raw
        let plain = text.withUTF8 { RequestTarget.plainRoute($0) }
        self.raw = text
        if let plain {
            (route, pathLength) = plain
            return
        }
        let mark = text.utf8.firstIndex(of: UInt8(ascii: "?")) ?? text.endIndex
        pathLength = text.utf8.distance(from: text.startIndex, to: mark)
        if RequestTarget.isTooLong(path: pathLength, of: text.utf8.count) {
            route = .tooLong
        } else {
            route = RequestTarget.anyRoute(path: String(text[..<mark]))
        }
    }

    /// Judges a path, without a query.
    public static func route(path: String) -> Route {
        var path = path
        if let (route, length) = path.withUTF8({ plainRoute($0) }), length == path.utf8.count { return route }
        return anyRoute(path: path)
    }

    private static func isTooLong(path: Int, of length: Int) -> Bool {
        path > maximumPath || length - path - 1 > maximumQuery
    }

    /// The bytes of the query; empty when there is none.
    func withQuery<Found>(_ body: (UnsafeBufferPointer<UInt8>) -> Found) -> Found {
        // It was made contiguous.
        var text = raw
        return text.withUTF8 { body(UnsafeBufferPointer(rebasing: $0[min(pathLength + 1, $0.count)...])) }
    }

    /// The usual case, decided in one pass without taking the target apart: a stream of the default project
    /// whose name needs no normalisation, and the length of its path. Nil for all others.
    private static func plainRoute(_ bytes: UnsafeBufferPointer<UInt8>) -> (Route, Int)? {
        let root: StaticString = "/v1/stream/"
        let length = root.utf8CodeUnitCount
        guard bytes.count > length else { return nil }
        for index in 0..<length where bytes[index] != root.utf8Start[index] { return nil }
        // A segment that begins with a dot or an underscore might be a dot segment or the control API.
        var atStart = true
        var end = length
        scan: while end < bytes.count {
            switch bytes[end] {
            case UInt8(ascii: "?"): break scan
            case UInt8(ascii: "/"):
                if atStart { return nil }
                atStart = true
                end += 1
                continue
            case UInt8(ascii: "."), UInt8(ascii: "_"): if atStart { return nil }
            case UInt8(ascii: "%"), UInt8(ascii: "\\"), UInt8(ascii: "#"), 0..<0x20, 0x7F...: return nil
            default: break
            }
            atStart = false
            end += 1
        }
        if atStart || isTooLong(path: end, of: bytes.count) { return nil }
        let name = StreamName(inDefaultProject: UnsafeBufferPointer(rebasing: bytes[length..<end]))
        return (.stream(name), end)
    }

    private static func anyRoute(path: String) -> Route {
        guard let normalised = PathNormaliser.normalise(path) else { return .unsafe }
        guard normalised.utf8.first == UInt8(ascii: "/") else { return .unknown }
        if normalised == "/healthz" { return .health }
        if normalised == "/readyz" { return .ready }
        let segments = normalised.utf8.dropFirst().split(
            separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        // An empty segment is unsafe anywhere but at the end, and there too once it follows a stream's
        // relative path; `/v1/stream/` by itself is just no stream.
        if segments.dropLast().contains(where: \.isEmpty) { return .unsafe }
        guard segments.count >= 2, segments[0].elementsEqual("v1".utf8) else { return .unknown }
        if segments[1].elementsEqual("stream".utf8) {
            return route(project: StreamName.defaultProject, relative: segments.dropFirst(2))
        }
        guard segments.count >= 3, StreamName.isProjectName(segments[1]) else { return .unknown }
        let project = String(Substring(segments[1]))
        if segments.count == 3, segments[2].elementsEqual("streams".utf8) {
            return .streams(project: project)
        }
        guard segments[2].elementsEqual("stream".utf8) else { return .unknown }
        return route(project: project, relative: segments.dropFirst(3))
    }

    private static func route(project: String, relative: ArraySlice<Substring.UTF8View>) -> Route {
        guard let first = relative.first, !(relative.count == 1 && first.isEmpty) else { return .unknown }
        if relative.contains(where: \.isEmpty) { return .unsafe }
        if first.elementsEqual("__ds".utf8) { return .control(project: project) }
        return .stream(
            StreamName(project: project, path: relative.map { String(Substring($0)) }.joined(separator: "/")))
    }
}

/// Percent-escape normalisation of paths (PROTOCOL section 13.4, RFC 3986 section 6.2.2).
enum PathNormaliser {
    /// Decodes escapes of unreserved characters, writes all others in upper case; nil for a path that
    /// is unsafe: dot segments, escaped or raw backslashes, escaped slashes, control characters, broken
    /// escapes, bytes that are not UTF-8.
    static func normalise(_ path: String) -> String? {
        var output: [UInt8] = []
        var decoded: [UInt8] = []
        let bytes = Array(path.utf8)
        var index = 0
        while index < bytes.count {
            var byte = bytes[index]
            var escaped = false
            if byte == UInt8(ascii: "%") {
                guard index + 2 < bytes.count, let high = hexDigit(bytes[index + 1]),
                    let low = hexDigit(bytes[index + 2])
                else { return nil }
                byte = high << 4 | low
                escaped = true
                index += 3
            } else {
                index += 1
            }
            if byte < 0x20 || byte == 0x7F || byte == UInt8(ascii: "\\") { return nil }
            // A fragment is no part of a request: whoever parsed the URL would take it for another.
            if !escaped, byte == UInt8(ascii: "#") { return nil }
            if escaped, byte == UInt8(ascii: "/") { return nil }
            decoded.append(byte)
            if byte >= 0x80 || (escaped && !isUnreserved(byte)) {
                output.append(UInt8(ascii: "%"))
                output.append(upperHex(byte >> 4))
                output.append(upperHex(byte & 0xF))
            } else {
                output.append(byte)
            }
        }
        guard String(validating: decoded, as: UTF8.self) != nil else { return nil }
        let text = String(decoding: output, as: UTF8.self)
        return hasDotSegment(text) ? nil : text
    }

    private static func hasDotSegment(_ path: String) -> Bool {
        path.utf8.split(separator: UInt8(ascii: "/")).contains { segment in
            segment.elementsEqual(".".utf8) || segment.elementsEqual("..".utf8)
        }
    }

    private static func upperHex(_ digit: UInt8) -> UInt8 {
        digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "A") + digit - 10
    }
}

/// RFC 3986 section 2.3.
func isUnreserved(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        true
    default: false
    }
}

/// The value of a hexadecimal digit, or nil.
func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
