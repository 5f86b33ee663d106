/// The messages of a JSON array as a server sends it: any depth, and their bytes as they came.
public enum MessageArray {
    /// The elements of an array that is known to be one; nil when brackets do not match.
    public static func messages(_ array: [UInt8]) -> [ArraySlice<UInt8>]? {
        var messages: [ArraySlice<UInt8>] = []
        var (depth, start, isInString, isEscaped) = (0, 0, false, false)
        for (index, byte) in array.enumerated() {
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                if depth == 1 { start = index + 1 }
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                depth -= 1
                if depth == 0, start < index { messages.append(array[start..<index]) }
            case UInt8(ascii: ",") where depth == 1:
                messages.append(array[start..<index])
                start = index + 1
            default: break
            }
        }
        return depth == 0 && !isInString ? messages : nil
    }

    /// A message on one line: line breaks, which may only stand between its tokens, become spaces.
    public static func line(_ message: ArraySlice<UInt8>) -> [UInt8] {
        message.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 } + [0x0A]
    }
}
