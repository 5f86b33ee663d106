import CLinux
import Glibc
import StreamStore

/// Tells the live process which streams a commit has changed, without ever making a commit wait.
///
/// What the socket doesn't take at once is kept, each stream once, and sent later; while the live
/// process is away it is kept too. A wake-up says "look again"; what goes out at once also says what was
/// appended, if that is little, so that the live process need not look.
public final class WakeSender: Sendable {
    private struct State {
        var descriptor: Int32 = -1
        var pending: Set<Int64> = [WakeMessage.greeting]
        /// When the oldest of them was committed.
        var pendingSince: Int64?
        /// The streams of the message that is on its way, and the bytes of it that are not sent yet.
        var sending: [Int64] = []
        var unsent: [UInt8] = []
        /// Whether the other side has said that it understands appends.
        var tellsAppends = false
        var stopping = false
    }

    private let path: String
    private let state = Condition(State())
    private let thread: Condition<NamedThread?> = Condition(nil)

    /// Milliseconds between attempts while the other side doesn't take what is kept.
    private static let retryInterval: Int64 = 20
    /// Milliseconds between looks whether the other side has gone while nothing is sent.
    private static let watchInterval: Int64 = 250

    /// Bytes of the buffer for messages that it keeps.
    private static let keptCapacity = 4 * WakeMessage.byteLimit

    private static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Sends to the socket at `path`, now or once somebody listens there.
    public init(path: String) {
        self.path = path
        let retry = NamedThread("wake") { [self] in keepTrying() }
        thread.update { thread in
            thread = retry
            return (false, ())
        }
    }

    /// Queues wake-ups and sends what the socket takes.
    public func notify(_ changes: [StreamChange]) {
        state.update { state in
            if state.descriptor >= 0, state.pending.isEmpty, state.unsent.isEmpty {
                if !state.tellsAppends { listen(&state) }
                state.sending.removeAll(keepingCapacity: true)
                for change in changes { state.sending.append(change.id) }
                WakeMessage.write(committed: WakeSender.now, to: &state.unsent)
                WakeMessage.write(changes, appends: state.tellsAppends, to: &state.unsent)
            } else {
                for change in changes { state.pending.insert(change.id) }
                if state.pendingSince == nil { state.pendingSince = WakeSender.now }
            }
            flush(&state)
            return (!state.pending.isEmpty || !state.unsent.isEmpty, ())
        }
    }

    /// Ends the retries, sends what it can, also to a live process that has come meanwhile, and closes the socket.
    public func stop() {
        state.update { state in
            state.stopping = true
            return (true, ())
        }
        let thread = thread.update { thread in
            defer { thread = nil }
            return (false, thread)
        }
        thread?.join()
        state.update { state in
            if listen(&state) { reconnectLater(&state) }
            if !state.pending.isEmpty || !state.unsent.isEmpty { flush(&state) }
            disconnect(&state)
            return (false, ())
        }
    }

    private func keepTrying() {
        while true {
            let stopping = state.wait(timeout: WakeSender.watchInterval) { state -> Bool? in
                if state.stopping { return true }
                return state.pending.isEmpty && state.unsent.isEmpty ? nil : false
            }
            if stopping == true { return }
            if stopping == nil {
                // A successor must know of this process before its next commit, or it might miss that one.
                let isGone = state.update { state in
                    let isGone = listen(&state)
                    if isGone { reconnectLater(&state) }
                    return (false, isGone)
                }
                if !isGone { continue }
            }
            // Only `stop` ends this pause early.
            if state.wait(timeout: WakeSender.retryInterval, { $0.stopping ? true : nil }) == true { return }
            state.update { state in
                flush(&state)
                return (false, ())
            }
        }
    }

    private func flush(_ state: inout State) {
        if state.descriptor < 0, !connect(&state) { return }
        if state.unsent.isEmpty { nextMessage(&state) }
        while !state.unsent.isEmpty {
            let sent = state.unsent.withUnsafeBytes {
                send(state.descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            }
            if sent < 0 {
                if errno == EINTR { continue }
                if errno != EAGAIN { reconnectLater(&state) }
                return
            }
            if sent == state.unsent.count {
                state.unsent.removeAll(keepingCapacity: state.unsent.capacity <= WakeSender.keptCapacity)
            } else {
                state.unsent.removeFirst(sent)
            }
            if state.unsent.isEmpty { nextMessage(&state) }
        }
    }

    private func nextMessage(_ state: inout State) {
        state.sending.removeAll(keepingCapacity: true)
        guard !state.pending.isEmpty else { return }
        state.sending.append(contentsOf: state.pending)
        if let since = state.pendingSince { WakeMessage.write(committed: since, to: &state.unsent) }
        if state.pending.contains(WakeMessage.greeting) {
            WakeMessage.write(WakeMessage.offer, to: &state.unsent)
        }
        for id in state.sending { WakeMessage.write(id, to: &state.unsent) }
        state.pendingSince = nil
        state.pending.removeAll(keepingCapacity: true)
    }

    /// Takes the other side's answer to the offer, if it is there.
    ///
    /// - Returns: whether it has ended instead.
    @discardableResult
    private func listen(_ state: inout State) -> Bool {
        guard state.descriptor >= 0 else { return false }
        var byte: UInt8 = 0
        while true {
            let got = recv(state.descriptor, &byte, 1, Int32(MSG_DONTWAIT))
            if got == 0 { return true }
            if got < 0 {
                if errno == EINTR { continue }
                return errno != EAGAIN
            }
            if byte == WakeMessage.acceptance { state.tellsAppends = true }
        }
    }

    private func connect(_ state: inout State) -> Bool {
        let descriptor = ds_connect_unix(path)
        guard descriptor >= 0 else { return false }
        state.descriptor = descriptor
        return true
    }

    /// The other side has gone. Its successor reads the log at its start, but may have readers by the
    /// time we reach it, so what was not sent is kept.
    private func reconnectLater(_ state: inout State) {
        state.pending.formUnion(state.sending)
        state.pending.insert(WakeMessage.greeting)
        disconnect(&state)
    }

    private func disconnect(_ state: inout State) {
        if state.descriptor >= 0 { close(state.descriptor) }
        state.descriptor = -1
        state.tellsAppends = false
        state.unsent.removeAll()
    }
}
