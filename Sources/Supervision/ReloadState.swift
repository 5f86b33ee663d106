import Glibc
import ServerSettings

/// How far reloads are, in a file of the run directory: `durable-streams reload` reads it. It is replaced in one step.
public struct ReloadState: Equatable, Sendable {
    /// Reloads that have begun since the server was started.
    public var started = 0
    /// Those of them that have come to an end.
    public var finished = 0
    /// Whether the last of those was refused.
    public var isRefused = false
    /// What it led to, or why it was refused: one line.
    public var message = ""

    /// Nothing was reloaded yet.
    public init() {}

    /// What a file says; nil when there is none that can be understood.
    static func read(_ path: String) -> ReloadState? {
        guard let bytes = try? SmallFile.read(path) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 4, let started = Int(lines[0]), let finished = Int(lines[1]) else { return nil }
        var state = ReloadState()
        state.started = started
        state.finished = finished
        state.isRefused = lines[2] == "refused"
        state.message = String(lines[3])
        return state
    }

    /// Replaces the file. Without it a reload works all the same.
    func write(_ path: String) {
        let line = message.map { $0.isNewline ? " " : $0 }
        let text = "\(started)\n\(finished)\n\(isRefused ? "refused" : "done")\n\(String(line))\n"
        do throws(SmallFile.Failure) {
            try SmallFile.write(Array(text.utf8), to: path, mode: 0o640)
        } catch {
            Console.error("writing \(path): \(error)")
        }
    }
}
