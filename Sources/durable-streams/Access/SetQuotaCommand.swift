import ArgumentParser
import ServerSettings
import StreamAccess
import StreamStore
import Supervision

/// `durable-streams set-quota`
struct SetQuotaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set-quota",
        abstract: "Limit what a project may hold.",
        discussion: """
            What would go beyond is refused: with 507 for streams and bytes, with 413 for a body. Reads and deletions go \
            on. What is not given stays as it is; without any option the command shows what holds.

            Example: durable-streams set-quota shop --streams 10000 --bytes 10GiB --body 1MiB
            """)

    @Argument(help: "The project.")
    var project: String

    @Option(help: ArgumentHelp("Most streams; 0: no limit.", valueName: "number"))
    var streams: CountArgument?

    @Option(help: ArgumentHelp("Most stored bytes, such as 10GiB; 0: no limit.", valueName: "size"))
    var bytes: SizeArgument?

    @Option(help: ArgumentHelp("Largest body, such as 1MiB; 0: that of the server.", valueName: "size"))
    var body: SizeArgument?

    @OptionGroup var options: AccessOptions

    func run() {
        options.administer { (administration) throws(AccessError) in
            let before = try administration.quota(of: project)
            var quota = before
            if let streams { quota.streams = SetQuotaCommand.limit(streams.value) }
            if let bytes { quota.bytes = SetQuotaCommand.limit(bytes.bytes) }
            if let body { quota.body = SetQuotaCommand.limit(body.bytes) }
            if quota != before { try administration.setQuota(quota, of: project) }
            options.answer(["project": .string(project), "quota": quota.json]) {
                Console.output("quota of project \(project): \(quota.line)")
            }
            return 0
        }
    }

    private static func limit(_ number: Int64) -> Int64? { number == 0 ? nil : number }
}

extension ProjectQuota {
    /// Null where there is no limit.
    var json: JSONValue {
        ["streams": .number(streams), "bytes": .number(bytes), "body": .number(body)]
    }

    fileprivate var line: String {
        func size(_ bytes: Int64?) -> String { bytes.map { ByteSize.format(Int($0)) } ?? "no limit" }
        return "streams \(streams.map { "\($0)" } ?? "no limit"), bytes \(size(bytes)), body \(size(body))"
    }
}
