import ServerSettings
import StreamAccess
import StreamAdmin
import StreamService
import StreamStore
import Telemetry

extension ServerProcess {
    /// What tells a request of the administrator's; nil where that route is off.
    public func adminKey() -> AdminKey? {
        guard settings.admin else { return nil }
        guard let file = try? SmallFile.read(layout.adminKey), let key = AdminKey(file: file) else {
            log.error("\(layout.adminKey) can't be read or holds no key: there is no administrator's route")
            return nil
        }
        return key
    }

    /// What serves the administrator's route; nil where it is off.
    public func makeAdmin(_ service: StreamService, _ access: AccessControl) -> AdminService? {
        guard let key = adminKey() else { return nil }
        let layout = layout
        var options = AdminService.Options(
            key: key, files: files, version: ServerVersion.current, auth: access.mode.rawValue,
            retention: retention, clock: ServerProcess.milliseconds)
        options.publicURL = settings.publicURL
        options.diskHighWater = settings.diskHighWater
        options.isReady = othersAreReady
        options.snapshot = { Telemetry.snapshot(path: layout.telemetry) }
        options.nginxPID = layout.nginxPID
        options.history = layout.history
        let (files, namesProjects) = (files, settings.metricsProjectLabels)
        options.metrics = { [log] in
            var projects: [PrometheusText.Project] = []
            if namesProjects {
                do throws(StoreError) {
                    projects = try RegistryReader(files).usages().sorted { $0.key < $1.key }.map {
                        PrometheusText.Project(name: $0.key, streams: $0.value.streams, bytes: $0.value.bytes)
                    }
                } catch {
                    log.error("\(error)")
                }
            }
            return PrometheusText.render(
                telemetryPath: layout.telemetry, nginxPID: layout.nginxPID, version: ServerVersion.current,
                projects: projects)
        }
        options.failed = { [log] in log.error("\($0)") }
        return AdminService(options: options, service: service)
    }
}
