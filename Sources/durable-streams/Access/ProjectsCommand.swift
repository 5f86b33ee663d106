import ArgumentParser
import ServerSettings
import StreamAccess
import StreamProtocol
import StreamStore
import Supervision

/// `durable-streams projects`
struct ProjectsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "projects",
        abstract: "List the projects with their secrets' ids, origins, quotas and what they hold.",
        discussion: """
            Secrets themselves are never shown. In JSON a quota is null where there is none.

            Example: durable-streams projects --json
            """)

    @OptionGroup var options: AccessOptions

    func run() {
        options.administer { (administration) throws(AccessError) in
            let projects = try administration.projects()
            options.answer(["projects": .array(projects.map(\.json))]) {
                if projects.isEmpty {
                    Console.note("no projects; make one: durable-streams create-project NAME")
                }
                for project in projects { Console.output(project.lines.joined(separator: "\n")) }
            }
            return 0
        }
    }
}

extension ProjectSummary {
    fileprivate var json: JSONValue {
        [
            "project": .string(name),
            "created_at": .string(Timestamp.text(milliseconds: createdAt)),
            "secrets": .array(
                secrets.map { secret in
                    [
                        "id": .number(secret.id),
                        "created_at": .string(Timestamp.text(milliseconds: secret.createdAt)),
                    ]
                }),
            "cors": .array(origins.map { .string($0) }),
            "quota": quota.json,
            "usage": ["streams": .number(usage.streams), "bytes": .number(usage.bytes)],
        ]
    }

    /// The name on a line of its own, and what belongs to it below.
    fileprivate var lines: [String] {
        let secrets = secrets.map { "\($0.id) (\(Timestamp.text(milliseconds: $0.createdAt)))" }
        return [
            name,
            "  created: \(Timestamp.text(milliseconds: createdAt))",
            "  secrets: \(secrets.joined(separator: ", "))",
            "  cors: \(origins.isEmpty ? "none" : origins.joined(separator: " "))",
            "  streams: \(usage.streams)" + (quota.streams.map { " of \($0)" } ?? ""),
            "  bytes: \(usage.bytes)" + (quota.bytes.map { " of \(ByteSize.format(Int($0)))" } ?? ""),
        ] + (quota.body.map { ["  largest body: \(ByteSize.format(Int($0)))"] } ?? [])
    }
}
