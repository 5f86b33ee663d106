import ArgumentParser
import Glibc
import StreamAccess
import Supervision

/// What all commands about projects have in common: where the data are, and how the answer is written.
struct AccessOptions: ParsableArguments {
    @OptionGroup var data: DataDirectoryOptions

    @Flag(help: "Answer with one JSON object on standard output.")
    var json = false

    /// Does some work on the projects of the data directory, beside a server or without one, and ends the process with
    /// the status that it returns, or that fits its error.
    ///
    /// - Parameters:
    ///   - creates: whether the data directory is made where there is none.
    ///   - forgivesLostKey: whether secrets may be there that no key opens any more.
    func administer(
        creates: Bool = false, forgivesLostKey: Bool = false,
        _ work: (ProjectAdministration) throws(AccessError) -> Int32
    ) -> Never {
        let files = data.files
        // The first command may be the one that makes the data directory's files.
        umask(0o027)
        Command.finish { () throws(AccessError) in
            try work(
                ProjectAdministration(files, creates: creates, forgivesLostKey: forgivesLostKey))
        }
    }

    /// Writes the answer for programs, or the one for people.
    func answer(_ document: JSONValue, orPlain plain: () -> Void) {
        if json { Console.output(document.json) } else { plain() }
    }

    /// Shows a secret for the only time: alone on standard output, so that a shell can take it from there.
    func answer(_ new: NewSecret, happened: String) {
        let document: JSONValue = [
            "project": .string(new.project), "id": .number(new.id), "secret": .string(new.secret),
        ]
        answer(document) {
            Console.note("\(happened); its secret \(new.id) follows. Keep it: it is not shown again.")
            Console.output(new.secret)
        }
    }
}
