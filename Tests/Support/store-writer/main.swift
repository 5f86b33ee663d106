import Glibc
import StreamProtocol
import StreamStore

// Appends lines "<writer>:<number>\n" to text streams of a store that other processes write too.
//
//     store-writer <folder> <writer> <lines> <stream>…
//
// Prints "ready" once the store is open, and begins when a line comes in, so that several begin at once.

private func say(_ message: String, to descriptor: Int32 = STDOUT_FILENO) {
    var line = message + "\n"
    line.withUTF8 { _ = write(descriptor, $0.baseAddress, $0.count) }
}

private func end(_ message: String) -> Never {
    say(message, to: STDERR_FILENO)
    exit(1)
}

private let arguments = CommandLine.arguments
guard arguments.count > 4, let lines = Int(arguments[3]) else {
    end("usage: store-writer folder writer lines stream…")
}
private let writer = arguments[2]
private let streams = arguments[4...].map { StreamName(project: StreamName.defaultProject, path: $0) }
private let text = MediaType(contentType: "text/plain")

do {
    let committer = try GroupCommitter(
        StoreFiles(folder: arguments[1]),
        hooks: GroupCommitter.Hooks(
            committed: { _ in }, poisoned: { end("poisoned: \($0)") }, failed: { end("failed: \($0)") }))
    say("ready")
    guard readLine() != nil else { end("nobody says go") }
    for number in 0..<lines {
        for name in streams {
            let request = AppendRequest(
                name: name,
                conditions: AppendConditions(
                    hasBody: true, closes: false, mediaType: text, producer: nil, streamSequence: nil),
                body: .bytes(Array("\(writer):\(number)\n".utf8)), now: 0)
            committer.submit { (session) throws(StoreError) in
                try session.append(request)
            } complete: { result in
                guard case .success(.accepted) = result else { end("not accepted: \(result)") }
            }
        }
        // Now and then everything is waited for, so that there are many transactions.
        if number % 8 == 7 { try committer.perform { _ in } }
    }
    committer.stop()
    say("done")
} catch {
    end("\(error)")
}
