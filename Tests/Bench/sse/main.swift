// Measures how long an append takes to reach every reader of its stream.
//
// It creates text streams, opens readers at their tails, waits until each has its first control event, and then appends
// at a fixed rate on one connection, to one stream after the other. Each message carries the time at which it was due, not
// the time at which it was sent, so a server that holds up the writer is charged for that too. Readers follow events, or
// poll. The same program talks to the server, to bench-writer and to nchan. With `--mode hold` readers only wait, until
// standard input ends.
//
// It prints one JSON object and ends with 0 when every message reached every reader once and in order, 1 when one did
// not, and 2 when the measurement could not be made.

import BenchCommon
import Foundation

runMeasurement("bench-sse") {
    let options = try Options(arguments: Array(CommandLine.arguments.dropFirst()))
    try raiseFileLimit(to: options.subscribers + 64)
    let driver = try Driver(options: options)
    try driver.run()
    print(driver.report)
    FileHandle.standardError.write(Data(driver.deliveries.utf8))
    return driver.fault
}
