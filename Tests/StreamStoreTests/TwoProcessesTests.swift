import Foundation
import StreamProtocol
import StreamStore
import TestStore
import Testing

/// A second process that writes the same files.
private struct Writer {
    let process = Process()
    let input = Pipe()
    let output = Pipe()

    /// Starts it; it is ready when this returns.
    init(_ folder: TemporaryFolder, name: String, lines: Int, streams: [String]) throws {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        process.executableURL = URL(fileURLWithPath: own).deletingLastPathComponent()
            .appendingPathComponent("store-writer")
        process.arguments = [folder.path, name, String(lines)] + streams
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        #expect(output.fileHandleForReading.availableData == Data("ready\n".utf8))
    }

    func go() throws { try input.fileHandleForWriting.write(contentsOf: Data("go\n".utf8)) }

    func finish() throws {
        #expect(try output.fileHandleForReading.readToEnd() == Data("done\n".utf8))
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }
}

@Suite struct TwoProcessesTests {
    @Test func orderAndNoLoss() throws {
        let folder = try TemporaryFolder()
        let store = try TestStore(folder)
        let streams = ["a", "b", "c"]
        for name in streams { try store.create(.make(name)) }
        let lines = 400
        let writers = try ["x", "y"].map { try Writer(folder, name: $0, lines: lines, streams: streams) }
        let chores = try Chores(
            store.files, committer: store.committer, sweepInterval: 1, clock: { TestClock.start },
            report: { Issue.record("\($0)") })
        for writer in writers { try writer.go() }
        let reader = try store.reader()
        var last: [String: [UInt8]] = [:]
        for number in 0..<lines {
            for name in streams {
                // Each append is found by its own process's next read, behind what others wrote.
                let tail = try #require(try store.append(.make(name, "own:\(number)\n")).acceptedTail)
                if number % 40 == 0 {
                    let all = try #require(try reader.everything(name, limit: 4_096))
                    #expect(Int64(all.count) >= tail)
                    #expect(all.starts(with: last[name] ?? []))
                    last[name] = all
                }
            }
        }
        for writer in writers { try writer.finish() }
        chores.stop()
        for reader in [reader, try store.reader()] {
            for name in streams {
                let all = try #require(text(try reader.everything(name, limit: 10_000))).split(
                    separator: "\n")
                #expect(all.count == lines * 3)
                for writer in ["own", "x", "y"] {
                    #expect(
                        all.filter { $0.hasPrefix(writer + ":") } == (0..<lines).map { "\(writer):\($0)" })
                }
            }
        }
    }

    /// What one process remembers of a stream is old as soon as another has written.
    @Test func rememberedHeadsAreNotTrusted() throws {
        let folder = try TemporaryFolder()
        let first = try TestStore(folder)
        let second = try TestStore(folder)
        let tuple = ProducerTuple(id: "p", epoch: 1, sequence: 0)
        let next = ProducerTuple(id: "p", epoch: 1, sequence: 1)
        try first.create(.make("s"))
        #expect(try second.append(.make("s", "a", producer: tuple, sequence: "a")).acceptedTail == 1)
        #expect(
            try first.append(.make("s", "x", producer: tuple)).verdict == .producer(.duplicate(highest: 0)))
        #expect(try first.append(.make("s", "b", producer: next, sequence: "b")).acceptedTail == 2)
        #expect(try second.append(.make("s", "x", sequence: "b")).verdict == .conflictSequence)
        #expect(try second.append(.make("s", "c", closes: true)).acceptedTail == 3)
        #expect(try first.append(.make("s", "x")).verdict == .conflictClosed)
        try first.delete("s")
        #expect(try second.append(.make("s", "x")).isAbsent)
        #expect(try second.create(.make("s")).created != nil)
        #expect(try first.append(.make("s", "d", producer: tuple, sequence: "a")).acceptedTail == 1)
        #expect(text(try first.reader().everything("s")) == "d")
    }

    @Test func twoMakeTheFilesAtOnce() throws {
        let folder = try TemporaryFolder()
        let stores = Mailbox<TestStore?>()
        let threads = (0..<6).map { _ in NamedThread("open") { stores.deliver(try? TestStore(folder)) } }
        for thread in threads { thread.join() }
        let opened = stores.received.compactMap { $0 }
        #expect(opened.count == 6)
        for (number, store) in opened.enumerated() { try store.create(.make("s\(number)", body: "x")) }
        let reader = try #require(opened.first).reader()
        for number in 0..<6 { #expect(text(try reader.everything("s\(number)")) == "x") }
    }
}
