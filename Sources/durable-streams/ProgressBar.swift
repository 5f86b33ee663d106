import Glibc
import StreamStore

/// A line on the terminal that says how far a long piece of work has come; nothing elsewhere.
final class ProgressBar {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var last: ContinuousClock.Instant?
    private var isShown = false

    private static let width = 30
    private static let interval = Duration.milliseconds(100)

    /// Shows the present state, ten times a second at most.
    func show(_ progress: Progress) {
        guard isTerminal else { return }
        let now = ContinuousClock.now
        let isDone = progress.done >= progress.total
        if let last, now - last < ProgressBar.interval, !isDone { return }
        last = now
        isShown = true
        let share = progress.total > 0 ? Double(progress.done) / Double(progress.total) : 1
        let full = Int(share * Double(ProgressBar.width))
        let bar =
            String(repeating: "#", count: full) + String(repeating: ".", count: ProgressBar.width - full)
        let amount =
            progress.isBytes
            ? "\(ProgressBar.size(progress.done)) of \(ProgressBar.size(progress.total))"
            : "\(progress.done) of \(progress.total)"
        write("\r\u{1B}[K\(progress.step) [\(bar)] \(Int(share * 100)) %  \(amount)")
    }

    /// Takes the line away, before something else is written.
    func clear() {
        if isShown { write("\r\u{1B}[K") }
        isShown = false
    }

    private func write(_ text: String) {
        let bytes = Array(text.utf8)
        _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
    }

    private static func size(_ bytes: Int64) -> String {
        var (size, unit) = (Double(bytes), 0)
        while size >= 1_024, unit < 4 {
            size /= 1_024
            unit += 1
        }
        let tenths = Int(size * 10)
        return "\(tenths / 10).\(tenths % 10) \(["B", "KiB", "MiB", "GiB", "TiB"][unit])"
    }
}
