import ServerSettings
import Testing

@Suite struct GrammarTests {
    @Test(arguments: [
        ("0", 0), ("1048576", 1 << 20), ("64KiB", 65536), ("16MiB", 16 << 20), ("1GiB", 1 << 30),
        ("2TiB", 2 << 40),
    ])
    func sizes(text: String, bytes: Int) {
        #expect(ByteSize.parse(text) == bytes)
        #expect(ByteSize.parse(ByteSize.format(bytes)) == bytes)
    }

    @Test(arguments: ["", "KiB", "-1", "1kib", "1KB", "1 KiB", "9223372036854775808", "9007199254740992TiB"])
    func sizesOutsideTheGrammar(text: String) {
        #expect(ByteSize.parse(text) == nil)
    }

    @Test(arguments: [
        ("127.0.0.1:4437", "127.0.0.1", 4437, "127.0.0.1:4437"), ("0.0.0.0:1", "0.0.0.0", 1, "0.0.0.0:1"),
        ("[::1]:65535", "::1", 65535, "[::1]:65535"), ("localhost:80", "127.0.0.1", 80, "127.0.0.1:80"),
    ])
    func listenAddresses(text: String, host: String, port: Int, printed: String) throws {
        let address = try #require(ListenAddress(text))
        #expect(address.host == host)
        #expect(address.port == port)
        #expect(address.description == printed)
    }

    @Test(arguments: ["http://a", "https://streams.example.org", "http://[::1]:4437", "https://a:1"])
    func origins(text: String) throws {
        #expect(try Settings.load(arguments: ["--public-url", text], environment: [:]).publicURL == text)
    }

    @Test func socketsAreInTheDataDirectory() {
        let layout = DataDirectoryLayout(dataDirectory: "/var/lib/ds")
        #expect(layout.workerSocket == "/var/lib/ds/run/worker.sock")
        #expect(layout.segmentsDirectory == "/var/lib/ds/segments")
        #expect(layout.lockFile == "/var/lib/ds/lock")
    }

    @Test func aLongDataDirectoryGetsAShortRunDirectory() {
        let suffix = "/run/worker.sock".utf8.count
        let fits = "/" + String(repeating: "d", count: 107 - suffix - 1)
        #expect(DataDirectoryLayout(dataDirectory: fits).workerSocket.utf8.count == 107)
        #expect(DataDirectoryLayout(dataDirectory: fits).runDirectory == fits + "/run")
        let long = DataDirectoryLayout(dataDirectory: fits + "d")
        #expect(long.runDirectory.hasPrefix("/tmp/durable-streams-"))
        #expect(long.runDirectory == DataDirectoryLayout(dataDirectory: fits + "d").runDirectory)
        #expect(long.runDirectory != DataDirectoryLayout(dataDirectory: fits + "e").runDirectory)
    }
}
