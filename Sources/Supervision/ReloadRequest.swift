import Glibc
import ServerSettings

/// Asks a running server to reload: `durable-streams reload`.
public enum ReloadRequest {
    /// Longest time that a reload can take: one that goes on already, and the one that was asked for.
    private static let patience = 2 * (Reload.readinessLimit + 2 * Reload.takeoverLimit) + 10

    /// Sends the signal and waits for the outcome; where pool and live process are two servers, of both.
    ///
    /// - Throws: `unavailable` when no server runs on the data directory, or it ends meanwhile; `system` when this user
    ///   may not send it signals, or it says nothing.
    public static func send(_ layout: DataDirectoryLayout) throws(SupervisionError) -> [ReloadState] {
        let servers = [(ServerParts.pool, layout.reloadState), (.live, layout.liveReloadState)]
            .compactMap { parts, file in DataDirectoryLock.holder(layout, parts).map { ($0, file) } }
        guard !servers.isEmpty else {
            throw SupervisionError(.unavailable, "no server runs on \(layout.dataDirectory)")
        }
        // One that has begun by now may not have seen the newest settings; the next one has.
        let awaited = servers.map { (ReloadState.read($0.1)?.started ?? 0) + 1 }
        for (supervisor, _) in servers where kill(supervisor, SIGUSR2) != 0 {
            throw .system("asking process \(supervisor) to reload", code: errno)
        }
        var states: [ReloadState] = []
        let deadline = MonotonicTime.now + patience
        for ((supervisor, file), number) in zip(servers, awaited) {
            states.append(try wait(for: supervisor, file, number, until: deadline))
        }
        return states
    }

    private static func wait(
        for supervisor: pid_t, _ file: String, _ number: Int, until deadline: Double
    ) throws(SupervisionError) -> ReloadState {
        while MonotonicTime.now < deadline {
            let isThere = kill(supervisor, 0) == 0
            if let state = ReloadState.read(file), state.finished >= number { return state }
            guard isThere else {
                throw SupervisionError(.unavailable, "the server (pid \(supervisor)) has ended meanwhile")
            }
            usleep(20_000)
        }
        throw SupervisionError(
            .system, "the server (pid \(supervisor)) did not say what became of the reload")
    }
}
