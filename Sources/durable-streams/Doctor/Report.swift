import Glibc
import StreamClient
import StreamProtocol
import Supervision

/// What an examination found, check by check.
struct Report {
    private enum Result {
        case well
        case found([Diagnosis])
        case skipped(String)
    }

    private let url: String
    private var results: [(name: String, result: Result)] = []
    private var measured: [(name: String, value: JSONValue)] = []
    private var unreachable: String?
    private var isInterrupted = false

    init(url: String) { self.url = url }

    private static let unreachableStatus: Int32 = 69

    /// The exit status.
    var status: Int32 {
        if isInterrupted { return Interruption.exitStatus }
        if unreachable != nil { return Report.unreachableStatus }
        return diagnoses.contains { $0.1.severity != .note } ? Command.findingsStatus : 0
    }

    private var diagnoses: [(check: String, Diagnosis)] {
        results.flatMap { name, result -> [(String, Diagnosis)] in
            if case .found(let all) = result { all.map { (name, $0) } } else { [] }
        }
    }

    // MARK: asking

    /// Looks at the machine itself.
    mutating func examine(_ host: Host) {
        for check in HostChecks.all where !isInterrupted {
            record(check.name) { () throws(Obstacle) in try check.examine(host) }
        }
        measured += host.measured
    }

    /// Asks from outside.
    mutating func examine(_ options: DoctorOptions, largestBody: Int?) {
        guard !isInterrupted else { return }
        var site: Site?
        do throws(Obstacle) {
            let new = try Site(options, url: url, largestBody: largestBody)
            site = new
            let entrance = try Entrance.enter(new)
            for (check, diagnosis) in entrance.found { add(check, [diagnosis]) }
            unreachable = entrance.end
            if unreachable == nil { try ask(new, isQuick: options.quick) }
        } catch {
            switch error {
            case .failed(let failure): unreachable = failure.message
            case .skipped(let why): unreachable = why
            case .interrupted: isInterrupted = true
            }
        }
        guard let site else { return }
        site.waiting?.join()
        site.cleanUp()
        measured += site.measured
    }

    private mutating func ask(_ site: Site, isQuick: Bool) throws(Obstacle) {
        if !isQuick {
            do throws(Obstacle) {
                site.waiting = WaitingReads(site, try site.readable("waiting", body: ""))
            } catch {
                guard case .skipped = error else { throw error }
            }
        }
        for check in SiteChecks.all where !isInterrupted {
            if check == LongPollTime.self, site.waiting != nil, isatty(STDERR_FILENO) == 1 {
                Console.note("waiting for a long-poll to end by itself, half a minute by default …")
            }
            let may = check.need != .writing || site.mayWrite
            let hasStream = check.need != .reading || site.mayWrite || site.existing != nil
            guard may, hasStream else {
                let what =
                    may ? "no stream to read: name one with --stream" : "needs to make streams: give --token"
                if !results.contains(where: { $0.name == check.name }) {
                    results.append((check.name, .skipped(what)))
                }
                continue
            }
            record(check.name) { () throws(Obstacle) in try check.examine(site) }
        }
    }

    private mutating func record(_ name: String, _ body: () throws(Obstacle) -> [Diagnosis]) {
        do throws(Obstacle) {
            add(name, try body())
        } catch {
            switch error {
            case .skipped(let why):
                if !results.contains(where: { $0.name == name }) {
                    results.append((name, .skipped(why)))
                }
            case .interrupted: isInterrupted = true
            case .failed(let failure):
                add(
                    name,
                    [
                        Diagnosis(
                            .error, seen: "the check was cut off: \(failure.message)",
                            matters: "clients are cut off too",
                            mend: "the log of each proxy on the way, and of the server")
                    ])
            }
        }
    }

    private mutating func add(_ name: String, _ found: [Diagnosis]) {
        let index = results.firstIndex { $0.name == name }
        guard let index else {
            results.append((name, found.isEmpty ? .well : .found(found)))
            return
        }
        guard !found.isEmpty else { return }
        var all = found
        if case .found(let before) = results[index].result { all = before + found }
        results[index].result = .found(all)
    }

    // MARK: telling

    /// Lines for people on standard output.
    func print() {
        for (check, diagnosis) in diagnoses {
            Console.output("\(diagnosis.severity.rawValue): \(check): \(diagnosis.seen)")
            Console.output("  why it matters: \(diagnosis.matters)")
            Console.output("  to mend: \(diagnosis.mend)")
        }
        var reasons: [String] = []
        for case (_, .skipped(let why)) in results where !reasons.contains(why) { reasons.append(why) }
        for reason in reasons {
            let names = results.compactMap { name, result in
                if case .skipped(reason) = result { name } else { nil }
            }
            Console.output("left out (\(reason)): \(names.joined(separator: ", "))")
        }
        if isInterrupted { return Console.error("interrupted; what was made is deleted") }
        if let unreachable { return Console.error(unreachable) }
        Console.output(summary)
    }

    private var summary: String {
        let left = results.filter { if case .skipped = $0.result { true } else { false } }.count
        let counts = [Severity.error, .warning, .note].compactMap { severity -> String? in
            let count = diagnoses.filter { $0.1.severity == severity }.count
            return count == 0 ? nil : "\(count) \(severity.rawValue)\(count == 1 ? "" : "s")"
        }
        return (counts.isEmpty ? "no findings" : counts.joined(separator: ", "))
            + ": \(url), \(results.count - left) checks" + (left == 0 ? "" : ", \(left) left out")
    }

    /// One object for programs.
    var json: String {
        let findings: [JSONValue] = diagnoses.map { check, diagnosis in
            [
                "check": .string(check), "severity": .string(diagnosis.severity.rawValue),
                "seen": .string(diagnosis.seen), "matters": .string(diagnosis.matters),
                "mend": .string(diagnosis.mend),
            ]
        }
        let checks: [JSONValue] = results.map { name, result in
            switch result {
            case .well: ["name": .string(name), "result": .string("well")]
            case .found: ["name": .string(name), "result": .string("found")]
            case .skipped(let why):
                ["name": .string(name), "result": .string("left out"), "reason": .string(why)]
            }
        }
        let object: JSONValue = [
            "url": .string(url), "unreachable": .string(unreachable), "interrupted": .flag(isInterrupted),
            "findings": .array(findings), "checks": .array(checks), "measured": .object(measured),
        ]
        return object.json
    }
}
