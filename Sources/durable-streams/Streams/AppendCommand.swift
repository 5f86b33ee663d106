import ArgumentParser
import Glibc
import StreamClient
import StreamProtocol
import Supervision

/// `durable-streams append`
struct AppendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "append",
        abstract: "Append to a stream of a running server, from an argument, a file or standard input.",
        discussion: """
            All of it is one append, or with --lines each line: with its line feed, or as one message of a JSON stream, \
            where empty lines are left out. The offset behind it is printed.

            With --producer-id nothing is stored twice: after a loss of the connection or a restart of the server the \
            same request is sent again, and a second run of the same command with the same input changes nothing. \
            --producer-seq next goes on where the producer's last run has ended.

            Examples: durable-streams append notes 'hello'
            journalctl -f -o json | durable-streams append journal --lines --batch 100 --producer-id host7 \
            --producer-seq next
            """)

    @Argument(help: "The stream: its path, such as orders/7, or its whole URL.")
    var stream: String

    @Argument(help: "What to append. Default: all of standard input.")
    var data: String?

    @Option(
        help: ArgumentHelp("What to append, from a file; - is standard input.", valueName: "path"),
        completion: .file())
    var file: String?

    @Option(
        help: ArgumentHelp(
            "The type of the content. Default: the stream's, which is asked for.", valueName: "type"))
    var contentType: String?

    @Flag(help: "One append for each line.")
    var lines = false

    @Option(
        help: ArgumentHelp(
            "With --lines, so many lines in one append; fewer when no more come for a moment.",
            valueName: "lines"))
    var batch = CountArgument(1)

    @Option(help: ArgumentHelp("The name of a producer: nothing is stored twice.", valueName: "id"))
    var producerID: String?

    @Option(
        help: ArgumentHelp("The producer's epoch: a higher one locks older runs out.", valueName: "number"))
    var producerEpoch = CountArgument(0)

    @Option(help: ArgumentHelp("The number of the first append, or next.", valueName: "number"))
    var producerSeq: ProducerSequenceArgument = .number(0)

    @Option(
        help: ArgumentHelp(
            "Stream-Seq: any text, refused unless it is greater than the last one of the stream.",
            valueName: "text"))
    var seq: String?

    @Flag(help: "Close the stream with it.")
    var close = false

    @Option(help: ArgumentHelp("For how long a producer tries again without success.", valueName: "seconds"))
    var retryFor = CountArgument(60)

    @OptionGroup var server: ServerOptions

    @Flag(help: "Answer with one JSON object on standard output.")
    var json = false

    func validate() throws {
        if data != nil, file != nil { throw ValidationError("Give the content or --file, not both.") }
        if lines, seq != nil { throw ValidationError("--seq is for one append, not for --lines.") }
        guard (1...100_000).contains(batch.value) else {
            throw ValidationError("--batch takes a number from 1 to 100000.")
        }
        if !lines, batch.value != 1 { throw ValidationError("--batch goes with --lines.") }
        if producerID == nil, producerEpoch.value != 0 || producerSeq != .number(0) {
            throw ValidationError("--producer-epoch and --producer-seq go with --producer-id.")
        }
    }

    func run() {
        let url = server.streamURL(stream)
        let calls = StreamCalls(server)
        var appender = Appender(
            calls, url: url, contentType: contentType ?? streamType(url, calls), producer: producer,
            order: seq,
            patience: Double(retryFor.value))
        if lines {
            appendLines(&appender)
            if close { appender.append(.bytes([]), closes: true) }
        } else {
            appendAll(&appender)
        }
        answer(appender)
    }

    private var producer: Appender.Producer? {
        producerID.map { Appender.Producer(id: $0, epoch: producerEpoch.value, sequence: producerSeq.first) }
    }

    private func streamType(_ url: String, _ calls: StreamCalls) -> String {
        do throws(ClientError) {
            let response = try calls.head(url)
            if response.status == 404 {
                Command.end(
                    Command.refusedStatus, "\(url): 404: no such stream; `durable-streams create` makes one")
            }
            guard response.status == 200 else { Command.refused(url, response) }
            return response.fields["Content-Type"] ?? MediaType.defaultContentType
        } catch {
            Command.fail(error)
        }
    }

    private func appendAll(_ appender: inout Appender) {
        if let data { return appender.append(.bytes(Array(data.utf8)), closes: close) }
        let input = InputFile.open(file)
        // What may be sent again has to be there again.
        let body = producerID == nil ? input.body : .bytes(input.readAll())
        appender.append(body, closes: close)
        withExtendedLifetime(input) {}
    }

    private func appendLines(_ appender: inout Appender) {
        var source = LineSource(data: data, file: file)
        let isJSON = MediaType(contentType: appender.contentType).isJSON
        var batch = LineBatch(isJSON: isJSON)
        while let line = source.next() {
            batch.add(line)
            guard batch.count >= self.batch.value || batch.count > 0 && source.isIdle else { continue }
            appender.append(.bytes(batch.take()))
        }
        if batch.count > 0 { appender.append(.bytes(batch.take())) }
    }

    private func answer(_ appender: Appender) {
        if json {
            Console.output(
                ([
                    "url": .string(appender.url), "next_offset": .string(appender.nextOffset),
                    "appends": .number(appender.stored), "duplicates": .number(appender.duplicates),
                    "state": .string(close ? "closed" : "open"),
                ] as JSONValue).json)
        } else if let offset = appender.nextOffset {
            Console.output(offset)
        }
    }
}

/// The first number of a producer's run.
enum ProducerSequenceArgument: ExpressibleByArgument, Equatable {
    case number(Int64)
    /// The one that the server expects.
    case next

    init?(argument: String) {
        if argument == "next" {
            self = .next
        } else if let count = CountArgument(argument: argument) {
            self = .number(count.value)
        } else {
            return nil
        }
    }

    var first: Int64 {
        switch self {
        case .number(let number): number
        case .next: Appender.ahead
        }
    }

    var defaultValueDescription: String {
        switch self {
        case .number(let number): "\(number)"
        case .next: "next"
        }
    }
}

/// Lines of an argument, a file or standard input.
private struct LineSource {
    private var reader: LineReader?
    private var rest: [[UInt8]]

    init(data: String?, file: String?) {
        reader = data == nil ? LineReader(InputFile.open(file)) : nil
        var lines =
            data.map { $0.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).map { Array($0) } }
            ?? []
        for index in lines.indices.dropLast() { lines[index].append(0x0A) }
        if lines.last == [] { lines.removeLast() }
        rest = lines.reversed()
    }

    mutating func next() -> [UInt8]? { reader == nil ? rest.popLast() : reader?.next() }

    /// Whether the next line lets wait for itself.
    var isIdle: Bool { reader?.isIdle(milliseconds: 200) ?? false }
}

/// Lines that go into one append.
private struct LineBatch {
    let isJSON: Bool
    private(set) var count = 0
    private var bytes: [UInt8] = []
    private var number = 0

    init(isJSON: Bool) { self.isJSON = isJSON }

    mutating func add(_ line: [UInt8]) {
        number += 1
        guard isJSON else {
            bytes += line
            count += 1
            return
        }
        if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }) { return }
        // Each line is one message, also where it is an array itself.
        guard JSONMessages(body: [UInt8(ascii: "[")] + line + [UInt8(ascii: "]")])?.count == 1 else {
            Command.end(
                EX_DATAERR, "line \(number) is not one JSON value; lines before it may be stored already")
        }
        bytes.append(bytes.isEmpty ? UInt8(ascii: "[") : UInt8(ascii: ","))
        bytes += line
        count += 1
    }

    /// The body, after which the batch is empty.
    mutating func take() -> [UInt8] {
        defer { (bytes, count) = ([], 0) }
        return isJSON ? bytes + [UInt8(ascii: "]")] : bytes
    }
}
