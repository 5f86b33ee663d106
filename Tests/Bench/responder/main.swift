// The baseline of the append benchmark: a FastCGI responder that reads each request, throws its body
// away and answers 204. It has the connection handling of the real worker pool and nothing else, so the
// difference between the two is what durability costs.
//
// Usage: bench-responder SOCKET
//
// It runs until SIGTERM or SIGINT, and says "ready" on standard output once it listens.

import CFastCGI
import CLinux
import Foundation

/// How many threads wait for requests, as in the worker pool.
let readerThreads = 2

/// Writes one line to standard error and ends with the status for wrong use or a failed start.
func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("bench-responder: \(message)\n".utf8))
    exit(2)
}

guard CommandLine.arguments.count == 2 else {
    fail("usage: bench-responder SOCKET")
}
let path = CommandLine.arguments[1]

// nginx may close a connection while an answer is on its way.
signal(SIGPIPE, SIG_IGN)
guard FCGX_Init() == 0 else {
    fail("libfcgi does not start")
}
// libfcgi has put a handler of its own on SIGTERM, which only sets a flag.
signal(SIGTERM, SIG_DFL)

do {
    let reactor = try Reactor(listener: try listenOnUnixSocket(path))
    print("ready")
    fflush(nil)
    for _ in 1..<readerThreads {
        Thread { reactor.run() }.start()
    }
    reactor.run()
} catch {
    fail("\(path): \(error)")
}
