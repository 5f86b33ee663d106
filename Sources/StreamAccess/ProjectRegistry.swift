import StreamStore
import Synchronization

/// The projects as this process knows them, at most a fifth of a second behind what commands have changed.
public final class ProjectRegistry: Sendable {
    private struct State {
        var version: Int64 = -1
        var projects: [String: Project] = [:]
    }

    private let state = Mutex(State())
    private let quotas = Atomic(false)
    private let stopping = Condition(false)
    private let thread: Mutex<NamedThread?> = Mutex(nil)

    /// Milliseconds between two looks.
    private static let interval: Int64 = 200

    /// Loads the projects and follows their changes.
    ///
    /// - Parameters:
    ///   - files: of a store that was opened for writing before.
    ///   - report: hears of looks that failed, and of secrets that the key doesn't open.
    public init(
        _ files: StoreFiles, key: SecretsKey, report: @escaping @Sendable (AccessError) -> Void
    ) throws(StoreError) {
        let reader = try RegistryReader(files)
        try refresh(reader, key, report)
        // The reader goes to its thread and is used there alone.
        nonisolated(unsafe) let owned = reader
        let started = NamedThread("registry") { [self] in
            while stopping.wait(timeout: ProjectRegistry.interval, { $0 ? true : nil }) == nil {
                do throws(StoreError) {
                    try refresh(owned, key, report)
                } catch {
                    report(AccessError(error))
                }
            }
        }
        thread.withLock { $0 = started }
    }

    /// A project by name; nil: not registered.
    public func project(_ name: String) -> Project? { state.withLock { $0.projects[name] } }

    /// Another with each change.
    var version: Int64 { state.withLock { $0.version } }

    /// What a project may take; nil: as much as there is.
    public func quota(of project: @autoclosure () -> String) -> ProjectQuota? {
        guard quotas.load(ordering: .relaxed) else { return nil }
        return self.project(project())?.quota
    }

    /// Ends the thread.
    public func stop() {
        stopping.update { state in
            state = true
            return (true, ())
        }
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
    }

    private func refresh(
        _ reader: RegistryReader, _ key: SecretsKey, _ report: (AccessError) -> Void
    ) throws(StoreError) {
        guard try reader.currentVersion() != version else { return }
        let (version, records) = try reader.load()
        var projects: [String: Project] = [:]
        for record in records {
            let project = Project(record, key)
            if project.secrets.count < record.secrets.count {
                report(
                    AccessError(
                        kind: .configuration,
                        "project \(record.name): secrets.key does not open \(record.secrets.count - project.secrets.count) of its secrets: put the key back that they were made with, or run `durable-streams add-secret \(record.name)`"
                    ))
            }
            projects[record.name] = project
        }
        quotas.store(projects.values.contains { $0.quota != nil }, ordering: .relaxed)
        state.withLock { $0 = State(version: version, projects: projects) }
    }
}
