// Measures how long an append takes to reach every SSE subscriber of its stream.
//
// It creates a text stream, opens subscribers at the tail, waits until each has its first control event,
// and then appends at a fixed rate on one connection. Each message carries the time at which it was due,
// not the time at which it was sent, so a server that holds up the writer is charged for that too.
//
// It prints one JSON object and ends with 0 when every message reached every subscriber once and in
// order, 1 when one did not, and 2 when the measurement could not be made.

import BenchCommon

runMeasurement("bench-sse") {
    let options = try Options(arguments: Array(CommandLine.arguments.dropFirst()))
    try raiseFileLimit(to: options.subscribers + 64)
    let driver = try Driver(options: options)
    try driver.run()
    print(driver.report)
    return driver.fault
}
