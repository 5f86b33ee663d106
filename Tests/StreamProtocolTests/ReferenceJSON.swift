/// RFC 8259 as slowly and plainly as its grammar is written: recursive, over an array of scalars, each rule
/// a function of its own. It shares nothing with the code under test.
struct ReferenceJSON {
    private let text: [Unicode.Scalar]
    private var place = 0
    private let maximumDepth: Int

    private struct Refused: Error {}

    /// The messages of a body, or nil.
    static func messages(_ body: [UInt8], maximumDepth: Int) -> [String]? {
        guard let decoded = String(validating: body, as: UTF8.self) else { return nil }
        var parser = ReferenceJSON(text: Array(decoded.unicodeScalars), maximumDepth: maximumDepth)
        return try? parser.document()
    }

    private init(text: [Unicode.Scalar], maximumDepth: Int) {
        self.text = text
        self.maximumDepth = maximumDepth
    }

    private var next: Unicode.Scalar? { place < text.count ? text[place] : nil }

    private mutating func expect(_ scalars: String) throws {
        for scalar in scalars.unicodeScalars {
            guard next == scalar else { throw Refused() }
            place += 1
        }
    }

    private mutating func space() {
        while let scalar = next, [" ", "\t", "\n", "\r"].contains(scalar) { place += 1 }
    }

    private mutating func document() throws -> [String] {
        space()
        var ranges: [Range<Int>] = []
        if next == "[" {
            try list("[", "]") { parser in
                let start = parser.place
                try parser.value(depth: 2)
                ranges.append(start..<parser.place)
            }
        } else {
            let start = place
            try value(depth: 1)
            ranges.append(start..<place)
        }
        space()
        guard next == nil else { throw Refused() }
        return ranges.map { range in
            var message = ""
            message.unicodeScalars.append(contentsOf: text[range])
            return message
        }
    }

    private mutating func list(
        _ open: String, _ close: Unicode.Scalar, _ member: (inout ReferenceJSON) throws -> Void
    ) throws {
        try expect(open)
        space()
        if next != close {
            try member(&self)
            space()
            while next == "," {
                place += 1
                space()
                try member(&self)
                space()
            }
        }
        try expect(String(close))
    }

    private mutating func value(depth: Int) throws {
        switch next {
        case "[":
            guard depth <= maximumDepth else { throw Refused() }
            try list("[", "]") { try $0.value(depth: depth + 1) }
        case "{":
            guard depth <= maximumDepth else { throw Refused() }
            try list("{", "}") { parser in
                try parser.string()
                parser.space()
                try parser.expect(":")
                parser.space()
                try parser.value(depth: depth + 1)
            }
        case "\"": try string()
        case "t": try expect("true")
        case "f": try expect("false")
        case "n": try expect("null")
        default: try number()
        }
    }

    private mutating func string() throws {
        try expect("\"")
        while next != "\"" {
            guard let scalar = next, scalar.value >= 0x20 else { throw Refused() }
            place += 1
            guard scalar == "\\" else { continue }
            guard let escape = next else { throw Refused() }
            place += 1
            if escape == "u" {
                for _ in 0..<4 {
                    guard let digit = next, "0123456789abcdefABCDEF".unicodeScalars.contains(digit) else {
                        throw Refused()
                    }
                    place += 1
                }
            } else if !"\"\\/bfnrt".unicodeScalars.contains(escape) {
                throw Refused()
            }
        }
        place += 1
    }

    private mutating func number() throws {
        if next == "-" { place += 1 }
        let leadsWithZero = next == "0"
        let length = try digits()
        if leadsWithZero, length > 1 { throw Refused() }
        if next == "." {
            place += 1
            _ = try digits()
        }
        if next == "e" || next == "E" {
            place += 1
            if next == "+" || next == "-" { place += 1 }
            _ = try digits()
        }
    }

    private mutating func digits() throws -> Int {
        let start = place
        while let digit = next, ("0"..."9").contains(digit) { place += 1 }
        guard place > start else { throw Refused() }
        return place - start
    }
}
