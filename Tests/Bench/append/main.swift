// Appends at a fixed rate, whatever the answers take, and measures how long each took from the moment at
// which it was due: an append that had to wait for a free connection is charged for that too.
//
// With `--lead-in` appends at the same rate come before those that count, so that connections that nginx has yet to accept,
// new connections between it and the pool, and cold code are nobody's latency. How they were answered is told apart.
//
// The streams have to exist and hold bytes. SIGTERM ends it early: what was due by then is still sent, and counts.
//
// It prints one JSON object and ends with 0 when every append was answered, 1 when one was not (the
// statuses are for the caller to judge), and 2 when the measurement could not be made.

import BenchCommon

runMeasurement("bench-append") {
    let options = try Options(arguments: Array(CommandLine.arguments.dropFirst()))
    try raiseFileLimit(to: options.connections + 64)
    let driver = try Driver(options: options)
    try driver.run()
    print(driver.report)
    return driver.fault
}
