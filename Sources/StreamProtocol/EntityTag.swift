/// Entity tags of reads and their comparison (PROTOCOL sections 9.2 and 9.3).
public enum EntityTag {
    /// `"<instance>:<start>:<end>"`, with `:c` when the response reaches the tail of a closed stream.
    ///
    /// - Parameters:
    ///   - instance: unique for each incarnation of a URL.
    ///   - variant: tells answers apart that differ in more than their content.
    ///   - start: the token asked for; nil for the start of the stream, however it was spelled.
    ///   - end: the response's `Stream-Next-Offset`.
    public static func text(
        instance: Int64, variant: String = "", start: Offset?, end: Offset, reachesClosedTail: Bool
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(96)
        bytes.append(UInt8(ascii: "\""))
        writeBase36(instance, to: &bytes)
        bytes.append(contentsOf: variant.utf8)
        bytes.append(UInt8(ascii: ":"))
        if let start {
            start.write(to: &bytes)
        } else {
            bytes.append(contentsOf: "-1".utf8)
        }
        bytes.append(UInt8(ascii: ":"))
        end.write(to: &bytes)
        if reachesClosedTail { bytes.append(contentsOf: ":c".utf8) }
        bytes.append(UInt8(ascii: "\""))
        return bytes
    }

    private static func writeBase36(_ number: Int64, to bytes: inout [UInt8]) {
        if number >= 36 { writeBase36(number / 36, to: &bytes) }
        let digit = UInt8(truncatingIfNeeded: number % 36)
        bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
    }

    /// Whether an `If-None-Match` value (several lines joined with commas) matches a tag, by the weak
    /// comparison of RFC 9110 section 8.8.3.2. A malformed value never matches.
    public static func matches(ifNoneMatch: String, tag: [UInt8]) -> Bool {
        // The usual case: the one tag that was answered before.
        if ifNoneMatch.utf8.withContiguousStorageIfAvailable({ isEqual($0, tag) }) == true { return true }
        let value = Array(trimmedOfWhitespace(ifNoneMatch[...]).utf8)
        if value == [UInt8(ascii: "*")] { return true }
        var index = 0
        var found = false
        while true {
            skipSeparators(value, &index)
            if index == value.count { return found }
            if value[index] == UInt8(ascii: "W") {
                guard index + 1 < value.count, value[index + 1] == UInt8(ascii: "/") else { return false }
                index += 2
            }
            guard index < value.count, value[index] == UInt8(ascii: "\"") else { return false }
            let start = index
            index += 1
            while index < value.count, value[index] != UInt8(ascii: "\"") {
                guard isTagByte(value[index]) else { return false }
                index += 1
            }
            guard index < value.count else { return false }
            index += 1
            if value[start..<index].elementsEqual(tag) { found = true }
            // Between two members stands a comma.
            let end = index
            skipSeparators(value, &index)
            guard index == value.count || value[end..<index].contains(UInt8(ascii: ",")) else { return false }
        }
    }

    /// Eight bytes at a time.
    private static func isEqual(_ bytes: UnsafeBufferPointer<UInt8>, _ tag: [UInt8]) -> Bool {
        guard bytes.count == tag.count else { return false }
        let bytes = UnsafeRawBufferPointer(bytes)
        return tag.withUnsafeBytes { tag in
            var index = 0
            while index + 8 <= tag.count {
                guard
                    bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                        == tag.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                else { return false }
                index += 8
            }
            while index < tag.count {
                guard bytes[index] == tag[index] else { return false }
                index += 1
            }
            return true
        }
    }

    private static func skipSeparators(_ value: [UInt8], _ index: inout Int) {
        while index < value.count,
            value[index] == 0x20 || value[index] == 0x09 || value[index] == UInt8(ascii: ",")
        {
            index += 1
        }
    }

    /// `etagc` of RFC 9110 section 8.8.3.
    private static func isTagByte(_ byte: UInt8) -> Bool { byte == 0x21 || (byte >= 0x23 && byte != 0x7F) }
}
