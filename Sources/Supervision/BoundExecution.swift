import CLinux
import Glibc

/// Runs a program in place of this process, bound to the life of the process that started it.
public enum BoundExecution {
    /// The hidden subcommand that calls ``run(parent:arguments:)``.
    public static let commandName = "exec-bound"

    /// Becomes `arguments[0]`. The kernel sends it `SIGTERM` when its parent ends, also when that was killed. nginx's
    /// workers end with their master on that signal; they would not notice a master that was killed.
    ///
    /// - Parameters:
    ///   - parent: the process that asked for this; if it has ended already, this process ends too.
    ///   - arguments: absolute path and arguments of the program.
    /// - Throws: `system` when the program can't be run; it returns only by throwing.
    public static func run(parent: Int32, arguments: [String]) throws(SupervisionError) -> Never {
        guard let path = arguments.first else {
            throw SupervisionError(.configuration, "\(commandName): no program given")
        }
        guard ds_die_with_parent(SIGTERM) == 0 else { throw .system("binding to the parent", code: errno) }
        // The parent may have ended before the line above: then no signal will ever come.
        guard getppid() == parent else { exit(EXIT_FAILURE) }
        var pointers = arguments.map { strdup($0) } + [nil]
        execv(path, &pointers)
        throw .system("running \(path)", code: errno)
    }
}
