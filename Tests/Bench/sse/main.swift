// Measures how long an append takes to reach every SSE subscriber of its stream.
//
// It creates a text stream, opens subscribers at the tail, waits until each has its first control event,
// and then appends at a fixed rate on one connection. Each message carries the time at which it was due,
// not the time at which it was sent, so a server that holds up the writer is charged for that too.
//
// It prints one JSON object and ends with 0 when every message reached every subscriber once and in
// order, 1 when one did not, and 2 when the measurement could not be made.

import CLinux
import Foundation

/// Writes one line to standard error.
func complain(_ message: String) {
    FileHandle.standardError.write(Data("bench-sse: \(message)\n".utf8))
}

signal(SIGPIPE, SIG_IGN)
do {
    let options = try Options(arguments: Array(CommandLine.arguments.dropFirst()))
    try raiseFileLimit(to: options.subscribers + 64)
    let driver = try Driver(options: options)
    try driver.run()
    print(driver.latencies.report(options: options))
    if let fault = driver.fault {
        complain(fault)
        exit(1)
    }
} catch {
    complain("\(error)")
    exit(2)
}
