import Telemetry
import Testing

@Suite struct PrometheusTextTests {
    private static func lines(
        _ telemetry: Telemetry, _ processes: [TelemetrySnapshot.Process] = [],
        _ projects: [PrometheusText.Project] = []
    ) -> [String] {
        let text = PrometheusText.render(
            telemetry.snapshot(), processes: processes, version: "1.2.3", projects: projects)
        return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    @Test func everyNameIsExplainedOnceBeforeItsSamples() {
        let telemetry = Telemetry()
        telemetry.request(.append, status: 204, nanoseconds: 1)
        var explained: [String] = []
        for line in Self.lines(telemetry) {
            if line.hasPrefix("# HELP ") {
                explained.append(String(line.split(separator: " ")[2]))
            } else if line.hasPrefix("# TYPE ") {
                #expect(line.split(separator: " ")[2] == explained.last ?? "")
            } else {
                let name = explained.last ?? ""
                #expect(line.hasPrefix(name), "\(line) stands below \(name)")
                #expect(name.hasPrefix("durable_streams_"))
            }
        }
        #expect(Set(explained).count == explained.count)
    }

    @Test func requestsAreLabelled() {
        let telemetry = Telemetry()
        telemetry.request(.append, status: 204, nanoseconds: 1_200_000)
        telemetry.request(.append, status: 204, nanoseconds: 40_000_000_000)
        let lines = Self.lines(telemetry)
        let name = "durable_streams_request_duration_seconds"
        let labels = #"operation="append",status="2xx""#
        #expect(lines.contains(#"durable_streams_requests_total{\#(labels)} 2"#))
        #expect(lines.contains(#"durable_streams_requests_total{operation="append",status="5xx"} 0"#))
        #expect(lines.contains(#"\#(name)_bucket{\#(labels),le="0.000025"} 0"#))
        #expect(lines.contains(#"\#(name)_bucket{\#(labels),le="0.001"} 0"#))
        #expect(lines.contains(#"\#(name)_bucket{\#(labels),le="0.0025"} 1"#))
        #expect(lines.contains(#"\#(name)_bucket{\#(labels),le="30"} 1"#))
        #expect(lines.contains(#"\#(name)_bucket{\#(labels),le="+Inf"} 2"#))
        #expect(lines.contains(#"\#(name)_sum{\#(labels)} 40.0012"#))
        #expect(lines.contains(#"\#(name)_count{\#(labels)} 2"#))
    }

    @Test func numbersAreNotSeconds() {
        let telemetry = Telemetry()
        telemetry.observe(.groupRequests, 3)
        telemetry.set(.storeSampledAt, 1_500)
        telemetry.set(.walBytes, 33_554_432)
        let lines = Self.lines(telemetry)
        #expect(lines.contains(#"durable_streams_commit_group_requests_bucket{le="2"} 0"#))
        #expect(lines.contains(#"durable_streams_commit_group_requests_bucket{le="4"} 1"#))
        #expect(lines.contains("durable_streams_commit_group_requests_sum 3"))
        #expect(lines.contains("durable_streams_store_sampled_timestamp_seconds 1.5"))
        #expect(lines.contains("durable_streams_wal_bytes 33554432"))
    }

    /// Two generations of one process are one series for each state; what is lost has no figures.
    @Test func processesHaveSeriesOfTheirOwn() throws {
        let telemetry = Telemetry()
        var running = try #require(telemetry.snapshot().processes().first)
        (running.residentBytes, running.cpuSeconds, running.openDescriptors) = (100, 1.5, 7)
        var drains = running
        drains.state = .draining
        var lost = running
        (lost.role, lost.state, lost.residentBytes) = (.live, .lost, nil)
        let lines = Self.lines(telemetry, [running, drains, drains, lost])
        let name = "durable_streams_process_resident_memory_bytes"
        #expect(lines.contains(#"\#(name){role="worker",number="0",state="running"} 100"#))
        #expect(lines.contains(#"\#(name){role="worker",number="0",state="draining"} 200"#))
        #expect(lines.contains(#"durable_streams_process_up{role="live",number="0",state="lost"} 0"#))
        #expect(!lines.contains { $0.hasPrefix(name) && $0.contains("lost") })
    }

    @Test func namesOfProjectsAreEscapedAndOnlyThereWhenAskedFor() {
        let telemetry = Telemetry()
        #expect(!Self.lines(telemetry).contains { $0.contains("project_") })
        let lines = Self.lines(telemetry, [], [PrometheusText.Project(name: "a\"\\\n", streams: 2, bytes: 3)])
        #expect(lines.contains(#"durable_streams_project_streams{project="a\"\\\n"} 2"#))
        #expect(lines.contains(#"durable_streams_project_bytes{project="a\"\\\n"} 3"#))
    }

    @Test func withoutAFileThereIsTheVersion() {
        let text = PrometheusText.render(telemetryPath: "/nowhere", nginxPID: nil, version: "1")
        #expect(
            String(decoding: text, as: UTF8.self).hasSuffix("durable_streams_build_info{version=\"1\"} 1\n"))
    }
}
