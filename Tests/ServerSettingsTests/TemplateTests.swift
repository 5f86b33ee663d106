import Glibc
import ServerSettings
import Supervision
import Testing

@Suite struct TemplateTests {
    private func values(_ arguments: [String] = []) throws -> [String: String] {
        NginxPlaceholders.values(
            settings: try Settings.load(arguments: ["--data-dir", "/srv/ds"] + arguments, environment: [:]),
            configurationDirectory: "/srv/ds/nginx", user: "user www-data;")
    }

    @Test func placeholdersHaveValues() throws {
        var values = try values(["--listen", "[::1]:80", "--cache-size", "1048577"])
        #expect(values.removeValue(forKey: "DS_VERDICT_DIR")?.hasPrefix("/dev/shm/durable-streams-") == true)
        #expect(
            values == [
                "DS_ADMIN_KEY": "", "DS_ADMIN_HTTP": "", "DS_ADMIN_SERVER": "",
                "DS_ADMIN_ALLOW": "allow 127.0.0.1;\nallow ::1;", "DS_ADMIN_PAGE": "/srv/ds/nginx/admin",
                "DS_ADMIN_PASSWORDS": "/srv/ds/nginx/admin.htpasswd",
                "DS_LISTEN": "[::1]:80", "DS_USER": "user www-data;", "DS_NGINX_DIR": "/srv/ds/nginx",
                "DS_RUN_DIR": "/srv/ds/run", "DS_CACHE_DIR": "/srv/ds/nginx/cache", "DS_CACHE_SIZE": "2m",
                "DS_SEGMENT_DIR": "/srv/ds/segments",
                "DS_MAX_BODY_BYTES": "16777216", "DS_LIVE_READ_TIMEOUT": "90", "DS_AUTH": "none",
                "DS_AUTH_DELEGATE_URL": "", "DS_LIMIT_ZONES": "", "DS_RATE_LIMITS": "", "DS_LIVE_LIMITS": "",
                "DS_REQUEST_LOG": "", "DS_REQUEST_LOG_FORMATS": "", "DS_DEBUG_HEADERS": "",
            ])
    }

    @Test func formatsComeWithTheLog() throws {
        let values = try values(["--request-log", "/var/log/requests"])
        #expect(values["DS_REQUEST_LOG"]?.contains("durable_streams_json") == true)
        #expect(values["DS_REQUEST_LOG_FORMATS"] == "include durable-streams-request-log.conf;")
    }

    @Test func onlyLimitsThatAreSetAreWritten() throws {
        let values = try values(["--rate-per-project", "7", "--live-per-address", "3"])
        let zones = try #require(values["DS_LIMIT_ZONES"])
        #expect(
            zones.contains(
                "limit_req_zone $durable_streams_project zone=durable_streams_project:10m rate=7r/s;"))
        #expect(
            zones.contains(
                "limit_conn_zone $durable_streams_client zone=durable_streams_address_readers:10m;"))
        #expect(!zones.contains("durable_streams_address:") && !zones.contains("project_readers"))
        #expect(
            values["DS_RATE_LIMITS"]?.contains("limit_req zone=durable_streams_project burst=7 nodelay;")
                == true)
        #expect(values["DS_LIVE_LIMITS"] == "    limit_conn durable_streams_address_readers 3;\n")
    }

    @Test(arguments: [
        (["--sse-lifetime", "100.5"], "131"), (["--long-poll-timeout", "61"], "91"),
        (["--sse-keep-alive", "50"], "150"), (["--sse-lifetime", "1"], "90"),
    ])
    func liveReadTimeoutOutlastsEverySilence(arguments: [String], seconds: String) throws {
        #expect(try values(arguments)["DS_LIVE_READ_TIMEOUT"] == seconds)
    }

    @Test func replacesPlaceholdersOnly() throws {
        let text = "# me@EXAMPLE.org @ @@ @a@\nlisten @A@;@A@@B@ @"
        let result = try NginxTemplates.replace(["A": "1", "B": "@A@"], in: text, name: "t")
        #expect(result == "# me@EXAMPLE.org @ @@ @a@\nlisten 1;1@A@ @")
    }

    @Test func anUnknownPlaceholderNamesFileAndLine() throws {
        let error = #expect(throws: SupervisionError.self) {
            try NginxTemplates.replace(["A": "1"], in: "@A@\n@DS_TYPO@\n", name: "x.conf")
        }
        #expect(try #require(error).message.hasPrefix("x.conf:2: unknown placeholder @DS_TYPO@"))
    }

    @Test func rendersConfigurationFilesOnly() throws {
        let directory = "/tmp/durable-streams-test-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
        mkdir(directory, 0o700)
        mkdir(directory + "/out", 0o700)
        let files = ["a.conf", "b.conf", "notes.txt"]
        defer {
            for name in files { unlink("\(directory)/\(name)") }
            for name in files { unlink("\(directory)/out/\(name)") }
            rmdir(directory + "/out")
            rmdir(directory)
        }
        for name in files { try SmallFile.write(Array("@X@".utf8), to: "\(directory)/\(name)", mode: 0o600) }
        let names = try NginxTemplates(directory: directory)
            .render(into: directory + "/out", placeholders: ["X": "y"], for: .none)
        #expect(names == ["a.conf", "b.conf"])
        #expect(try SmallFile.read("\(directory)/out/a.conf") == Array("y".utf8))
        #expect(access("\(directory)/out/notes.txt", F_OK) != 0)
    }
}
