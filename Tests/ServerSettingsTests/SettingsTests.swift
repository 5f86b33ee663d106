import Glibc
import ServerSettings
import Testing

/// A file that is removed with its owner.
final class TemporaryFile {
    let path: String

    init(_ text: String) throws {
        path = "/tmp/durable-streams-test-\(getpid())-\(UInt64.random(in: 0...UInt64.max)).yaml"
        try SmallFile.write(Array(text.utf8), to: path, mode: 0o600)
    }

    deinit { unlink(path) }
}

/// The repository's root, found from this file.
let repository = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()

@Suite struct SettingsTests {
    @Test func defaultsAreThoseOfTheConfigFile() throws {
        let path = repository + "/Config/durable-streams.yaml"
        #expect(try Settings.load(arguments: ["--config", path], environment: [:]) == Settings.defaults())
        let text = String(decoding: try SmallFile.read(path), as: UTF8.self)
        // When it differs: .build/release/durable-streams default-config > Config/durable-streams.yaml
        #expect(text == DefaultConfiguration.text)
        let lines = text.split(separator: "\n")
        for key in SettingKey.all {
            let value = key.defaultText.isEmpty ? "\"\"" : key.defaultText
            #expect(lines.contains { $0 == "\(key.name): \(value)" }, "\(key.name) in \(path)")
        }
        #expect(lines.count { !$0.hasPrefix("#") } == SettingKey.all.count)
    }

    @Test func everyRequiredVariableExists() {
        let names = Set(SettingKey.all.map(\.environmentName))
        let required: Set = [
            "DS_LISTEN", "DS_DATA_DIR", "DS_WORKERS", "DS_WORKER_THREADS", "DS_LONG_POLL_TIMEOUT",
            "DS_SSE_LIFETIME", "DS_MAX_BODY_BYTES", "DS_READ_CHUNK_BYTES", "DS_PUBLIC_URL", "DS_CACHE_SIZE",
            "DS_LOG_LEVEL",
        ]
        #expect(names.isSuperset(of: required))
    }

    @Test func flagWinsOverEnvironmentOverFileOverDefault() throws {
        let file = try TemporaryFile("workers: 2\nworker_threads: 3\nlong_poll_timeout: 1.5\n")
        let settings = try Settings.load(
            arguments: ["--workers", "7"],
            environment: [
                "DS_CONFIG": file.path, "DS_WORKERS": "5", "DS_WORKER_THREADS": "6", "PATH": "/bin",
            ])
        #expect(settings.workers == 7)
        #expect(settings.workerThreads == 6)
        #expect(settings.longPollTimeout == 1.5)
        #expect(settings.sseLifetime == 60)
    }

    @Test func configFlagWinsOverItsVariable() throws {
        let file = try TemporaryFile("workers: 2\n")
        let settings = try Settings.load(
            arguments: ["--config=\(file.path)"], environment: ["DS_CONFIG": "/missing.yaml"])
        #expect(settings.workers == 2)
    }

    @Test func everyProblemIsFound() throws {
        let file = try TemporaryFile(
            "workers: 0\nworkerz: 3\nlog_level: [a]\nsse_lifetime: 9\nlisten: {a: 1}\n")
        let report = Settings.report(
            arguments: ["--config", file.path, "--port", "80", "--worker-threads", "x", "y", "--data-dir"],
            environment: ["DS_WORKERS": "many", "DS_WORKER": "1", "DS_URL": "http://x", "DS_TOKEN": "t"])
        let lines = report.problems.map(\.description)
        let parts = [
            "--port", "argument \"y\"", "argument \"--data-dir\"", "DS_WORKER ", "workerz", "key listen of",
            "key workers of",
            "variable DS_WORKERS", "flag --worker-threads", "key log_level of",
        ]
        #expect(lines.count == parts.count, "\(lines)")
        for part in parts { #expect(lines.count { $0.contains(part) } == 1, "\(part) in \(lines)") }
        // What is fine counts.
        #expect(report.settings.sseLifetime == 9)
        #expect(report.settings.workers == 1)
    }

    @Test(arguments: [
        "", " \n\n", "a: &x b", "workers: *x", "- *x", "{workers: [*a]}", "\tworkers: 1",
        "workers: 1\n\tx: 2",
        "workers: \u{0}", "workers: \u{1B}[31m", String(repeating: "[", count: 33),
        "a: \"[\n\", " + String(repeating: "[", count: 2_000), String(repeating: "- ", count: 40),
        String(repeating: " ", count: 70) + "a: 1", "# " + String(repeating: "x", count: 1 << 20),
    ])
    func textsThatNoParserGets(text: String) throws {
        let file = try TemporaryFile(text)
        let error = #expect(throws: SettingsError.self) {
            try Settings.load(arguments: ["--config", file.path], environment: [:])
        }
        guard case .badFile? = error else { return #expect(Bool(false), "\(String(describing: error))") }
    }

    @Test(arguments: [
        "# & * [[[[ \t\nworkers: 1 # &x", "public_url: \"\"", "listen: '[::1]:80'", "\u{FEFF}workers: 2",
        "workers: 1\r\nlog_level: info\r\n", "---\nworkers: 2\n...\n", "{workers: 2, log_level: \"info\"}",
        "workers:\t3", "data_dir: /a-b/c-d/e",
    ])
    func textsThatAreFine(text: String) throws {
        let file = try TemporaryFile(text)
        _ = try Settings.load(arguments: ["--config", file.path], environment: [:])
    }

    @Test func fileMayTurnTheRequestLogOff() throws {
        let file = try TemporaryFile("request_log: off\n")
        let settings = try Settings.load(
            arguments: ["--config", file.path], environment: [:])
        #expect(settings.requestLog == .off)
    }

    @Test func commentsAloneAreAValidFile() throws {
        let file = try TemporaryFile("# nothing\n\n  # here\n")
        #expect(
            try Settings.load(arguments: ["--config", file.path], environment: [:]) == Settings.defaults())
    }

    @Test func environmentCarriesEverySetting() throws {
        let arguments = [
            "--listen", "[::1]:5000", "--data-dir", "/var/lib/ds", "--workers", "3", "--worker-threads=4",
            "--long-poll-timeout", "0.05", "--sse-lifetime", "0.25", "--sse-keep-alive", "2.5",
            "--max-body-bytes", "1000", "--read-chunk-bytes", "64KiB", "--public-url",
            "https://a.example:8443",
            "--cache-size", "2GiB", "--log-level", "debug", "--nginx-path", "/opt/nginx", "--nginx-templates",
            "/opt/templates", "--sweep-interval", "1", "--auth-delegate-url", "http://127.0.0.1:9000/check",
            "--nginx-group", "www-data",
        ]
        let settings = try Settings.load(arguments: arguments, environment: [:])
        #expect(settings.environment().count == SettingKey.all.count)
        #expect(try Settings.load(arguments: [], environment: settings.environment()) == settings)
    }

    @Test(arguments: [
        (["LOG_LEVEL": "DEBUG"], LogLevel.debug, false), (["LOG_LEVEL": ""], .info, false),
        (["LOG_LEVEL": "nonsense", "DS_LOG_LEVEL": "error"], .error, false),
        (["DEBUG_TIMING": "1"], .info, true), (["DEBUG_TIMING": "0"], .info, false),
        (["DEBUG_TIMING": "True"], .info, true),
        (["DEBUG_TIMING": "1", "DS_DEBUG_TIMING": "false"], .info, false),
    ])
    func plainNamesCountWhereOursAreMissing(
        variables: [String: String], level: LogLevel, debugTiming: Bool
    ) throws {
        let settings = try Settings.load(arguments: [], environment: variables)
        #expect(settings.logLevel == level && settings.debugTiming == debugTiming)
    }

    @Test func malformedPlainVariableIsNamed() throws {
        let error = #expect(throws: SettingsError.self) {
            try Settings.load(arguments: [], environment: ["LOG_LEVEL": "loud"])
        }
        #expect(try #require(error).description.contains("environment variable LOG_LEVEL"))
    }

    @Test func relativeDirectoriesBecomeAbsolute() throws {
        let settings = try Settings.load(arguments: ["--data-dir", "./a//b/./c/"], environment: [:])
        #expect(settings.dataDirectory.hasPrefix("/"))
        #expect(settings.dataDirectory.hasSuffix("/a/b/c"))
    }

    @Test(arguments: [
        ("DS_LISTEN", "4437"), ("DS_LISTEN", "127.0.0.1"), ("DS_LISTEN", "127.0.0.1:0"),
        ("DS_LISTEN", "127.0.0.1:65536"), ("DS_LISTEN", "::1:4437"), ("DS_LISTEN", "example.org:80"),
        ("DS_LISTEN", ":4437"), ("DS_LISTEN", ""), ("DS_LISTEN", "[127.0.0.1]:80"),
        ("DS_DATA_DIR", ""), ("DS_DATA_DIR", "/a b"), ("DS_DATA_DIR", "/a;b"), ("DS_DATA_DIR", "/a\nb"),
        ("DS_WORKERS", "0"), ("DS_WORKERS", "65"), ("DS_WORKERS", "many"), ("DS_WORKERS", "1.5"),
        ("DS_WORKERS", "+1"), ("DS_WORKERS", ""), ("DS_WORKER_THREADS", "-1"),
        ("DS_LONG_POLL_TIMEOUT", "0.04"), ("DS_LONG_POLL_TIMEOUT", "3601"), ("DS_LONG_POLL_TIMEOUT", "30s"),
        ("DS_LONG_POLL_TIMEOUT", "inf"), ("DS_LONG_POLL_TIMEOUT", "nan"), ("DS_LONG_POLL_TIMEOUT", "1e1"),
        ("DS_SSE_LIFETIME", "0"), ("DS_SSE_LIFETIME", "86401"), ("DS_SSE_KEEP_ALIVE", "1."),
        ("DS_MAX_BODY_BYTES", "16MB"), ("DS_MAX_BODY_BYTES", "0"), ("DS_MAX_BODY_BYTES", "2GiB"),
        ("DS_MAX_BODY_BYTES", "16 MiB"), ("DS_MAX_BODY_BYTES", "1.5MiB"), ("DS_READ_CHUNK_BYTES", "65535"),
        ("DS_PUBLIC_URL", "example.org"), ("DS_PUBLIC_URL", "https://example.org/"),
        ("DS_PUBLIC_URL", "ftp://example.org"), ("DS_PUBLIC_URL", "https://"),
        ("DS_PUBLIC_URL", "https://a:0"), ("DS_CACHE_SIZE", "9999999999999TiB"), ("DS_LOG_LEVEL", "INFO"),
        ("DS_ADMIN", "yes"), ("DS_ADMIN_ALLOW", ""), ("DS_ADMIN_ALLOW", "localhost"),
        ("DS_ADMIN_ALLOW", "10.0.0.0/33"), ("DS_ADMIN_ALLOW", "10.0.0.1/8"), ("DS_ADMIN_ALLOW", "::1/129"),
        ("DS_ADMIN_ALLOW", "127.0.0.1;"), ("DS_ADMIN_ALLOW", "1.2.3.4,5.6.7.8"), ("DS_ADMIN_ALLOW", "::1/"),
        ("DS_NGINX_PATH", ""), ("DS_SWEEP_INTERVAL", ""), ("DS_REQUEST_LOG", "requests.log"),
        ("DS_REQUEST_LOG", ""), ("DS_REQUEST_LOG", "/a b"), ("DS_REQUEST_LOG", "/var/log/"),
        ("DS_REQUEST_LOG", "/a;off"), ("DS_REQUEST_LOG_FORMAT", "combined"), ("DS_LOG_FORMAT", "JSON"),
        ("DS_SLOW_REQUEST_MILLISECONDS", "-1"), ("DS_DEBUG_TIMING", "1"),
    ])
    func malformedVariableNamesEverything(name: String, value: String) throws {
        let error = #expect(throws: SettingsError.self) {
            try Settings.load(arguments: [], environment: [name: value])
        }
        let line = try #require(error).description
        let key = try #require(SettingKey.all.first { $0.environmentName == name })
        for part in [key.name, value.debugDescription, "environment variable \(name)", key.accepted] {
            #expect(line.contains(part), "\(line)")
        }
        #expect(!line.contains("\n"))
    }

    @Test(arguments: ["workers: many", "workers: [1, 2]", "workers:", "workers: 0x2"])
    func malformedFileNamesKeyAndFile(text: String) throws {
        let file = try TemporaryFile(text)
        let error = #expect(throws: SettingsError.self) {
            try Settings.load(arguments: ["--config", file.path], environment: [:])
        }
        let line = try #require(error).description
        #expect(line.contains("key workers of settings file \(file.path)"), "\(line)")
        #expect(line.contains("a whole number from 1 to 64"))
    }

    @Test(arguments: ["wrokers: 1", "listen:\n  host: a", "- 1", "a: [", "workers: 1\nworkers: 2"])
    func badFilesAreRefusedInOneLine(text: String) throws {
        let file = try TemporaryFile(text)
        let error = #expect(throws: SettingsError.self) {
            try Settings.load(arguments: ["--config", file.path], environment: [:])
        }
        let line = try #require(error).description
        #expect(line.contains(file.path), "\(line)")
        #expect(!line.contains("\n"), "\(line)")
    }

    @Test func unknownNamesAreRefused() throws {
        let known = SettingKey.all
        #expect(
            throws: SettingsError.unknown(
                name: "DS_WORKER", value: "2", origin: "the environment",
                known: known.map(\.environmentName) + ["DS_CONFIG"])
        ) { try Settings.load(arguments: [], environment: ["DS_WORKER": "2"]) }
        #expect(
            throws: SettingsError.unknown(
                name: "--port", value: "80", origin: "the command line",
                known: known.map(\.flag) + ["--config"])
        ) { try Settings.load(arguments: ["--port", "80"], environment: [:]) }
        #expect(throws: SettingsError.self) { try Settings.load(arguments: ["--workers"], environment: [:]) }
        #expect(throws: SettingsError.self) { try Settings.load(arguments: ["workers"], environment: [:]) }
        #expect(throws: SettingsError.self) {
            try Settings.load(arguments: ["--config", "/missing.yaml"], environment: [:])
        }
    }

    @Test func anOverriddenMalformedValueIsStillRefused() {
        #expect(throws: SettingsError.self) {
            try Settings.load(arguments: ["--workers", "2"], environment: ["DS_WORKERS": "x"])
        }
    }
}
