import Glibc
import ServerSettings
import Supervision

/// The file that a reader keeps its place in: one line with an offset.
struct OffsetFile {
    let path: String

    /// The offset in it; nil when there is no file yet. One that holds something else ends the process.
    func load() -> String? {
        let bytes: [UInt8]
        do throws(SmallFile.Failure) {
            bytes = try SmallFile.read(path, most: 1_024)
        } catch {
            if error.code == ENOENT { return nil }
            Command.end(EX_NOINPUT, "offset file \(path): \(error)")
        }
        let text = String(decoding: bytes, as: UTF8.self)
        let offset = text.hasSuffix("\n") ? String(text.dropLast()) : text
        guard OffsetFile.isOffset(offset) else {
            Command.end(EX_DATAERR, "offset file \(path) holds no offset: remove it to begin anew")
        }
        return offset
    }

    /// Replaces the offset in one step.
    func save(_ offset: String) {
        do throws(SmallFile.Failure) {
            try SmallFile.write(Array("\(offset)\n".utf8), to: path, mode: 0o644)
        } catch {
            Command.end(EX_CANTCREAT, "offset file \(path): \(error)")
        }
    }

    /// Whether a text can be an offset: what a server says is opaque, but needs no quoting in a URL.
    static func isOffset(_ text: String) -> Bool {
        (1...255).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                    UInt8(ascii: "."), UInt8(ascii: "~"):
                    true
                default: false
                }
            }
    }
}
