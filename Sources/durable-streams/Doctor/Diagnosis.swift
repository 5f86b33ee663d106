/// How bad something is: a note leaves the exit status alone.
enum Severity: String {
    case error, warning, note
}

/// One thing that is wrong with a deployment.
struct Diagnosis {
    let severity: Severity
    /// What was seen.
    let seen: String
    /// What it leads to.
    let matters: String
    /// What to do: a command, or a line of a configuration.
    let mend: String

    init(_ severity: Severity, seen: String, matters: String, mend: String) {
        self.severity = severity
        self.seen = seen
        self.matters = matters
        self.mend = mend
    }
}
