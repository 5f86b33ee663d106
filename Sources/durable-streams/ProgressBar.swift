import Glibc
import StreamStore

/// A line on the terminal that says how far a long piece of work has come; nothing elsewhere.
final class ProgressBar {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var last: ContinuousClock.Instant?
    private var isShown = false

    /// Widest bar, in characters.
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
        let amount =
            progress.isBytes
            ? "\(ProgressBar.size(progress.done)) of \(ProgressBar.size(progress.total))"
            : "\(progress.done) of \(progress.total)"
        let text = "\(Int(share * 100)) %  \(amount)"
        // What is longer than a line of the terminal could not be written over.
        let room = ProgressBar.columns - progress.step.count - text.count - 5
        let width = max(0, min(ProgressBar.width, room))
        let full = Int(share * Double(width))
        let bar = String(repeating: "#", count: full) + String(repeating: ".", count: width - full)
        write("\r\u{1B}[K" + "\(progress.step) [\(bar)] \(text)".prefix(ProgressBar.columns - 1))
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

    /// Characters in a line of the terminal.
    private static var columns: Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 1 else { return 80 }
        return Int(size.ws_col)
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
