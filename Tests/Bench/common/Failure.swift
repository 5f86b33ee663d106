import CLinux
import Foundation

/// A measurement that can't be made, with its reason.
public struct Failure: Error, CustomStringConvertible {
    /// The reason.
    public let description: String

    /// Gives the reason.
    public init(_ description: String) {
        self.description = description
    }

    /// A system call that failed, with the text of its `errno`.
    public static func system(_ call: String) -> Failure {
        Failure("\(call): \(String(cString: strerror(errno)))")
    }
}

/// Runs a measurement to the end of the process: 0 when it is to be believed, 1 with the fault that `body`
/// gives when it is not, 2 when it could not be made. What is wrong goes to standard error.
public func runMeasurement(_ name: String, _ body: () throws -> String?) -> Never {
    func complain(_ message: String) {
        FileHandle.standardError.write(Data("\(name): \(message)\n".utf8))
    }
    signal(SIGPIPE, SIG_IGN)
    do {
        guard let fault = try body() else {
            exit(0)
        }
        complain(fault)
        exit(1)
    } catch {
        complain("\(error)")
        exit(2)
    }
}
