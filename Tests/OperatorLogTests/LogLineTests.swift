import OperatorLog
import ServerSettings
import Testing

@Suite struct LogLineTests {
    private func line(_ message: String, requestID: String? = nil) -> LogLine {
        LogLine(
            time: 1_700_000_000_042, level: .notice, process: "worker", identifier: 7, message: message,
            requestID: requestID)
    }

    @Test func text() {
        var line = line("slow request", requestID: "r1")
        line.fields = [
            ("operation", .text("append")), ("status", .number(204)), ("ms", .duration(1_234_567)),
        ]
        #expect(
            String(decoding: line.bytes(.text), as: UTF8.self)
                == "2023-11-14T22:13:20.042Z notice worker[7]: slow request request_id=r1 operation=append "
                + "status=204 ms=1.234\n")
    }

    @Test func json() {
        var line = line("slow request", requestID: "r1")
        line.fields = [
            ("operation", .text("append")), ("status", .number(204)), ("ms", .duration(1_234_567)),
        ]
        #expect(
            String(decoding: line.bytes(.json), as: UTF8.self)
                == #"{"time":"2023-11-14T22:13:20.042Z","level":"notice","process":"worker","pid":7,"#
                + #""message":"slow request","request_id":"r1","operation":"append","status":204,"ms":1.234}"#
                + "\n")
    }

    @Test(arguments: LogFormat.allCases)
    func isOneLineWhateverIsInIt(format: LogFormat) {
        var line = line("a\nb\r\"\\\u{1b}[2J\u{85}\0", requestID: "x\ny")
        line.fields = [("path", .text("/v1/\n\t"))]
        let bytes = line.bytes(format)
        #expect(bytes.last == UInt8(ascii: "\n"))
        #expect(bytes.dropLast().allSatisfy { $0 >= 0x20 })
    }
}
