// swift-tools-version: 6.2

import PackageDescription

/// Every target of ours compiles with warnings as errors; Swift 6 language mode (strict concurrency)
/// follows from the tools version.
let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]

/// The three programs hold Swift's libraries themselves, linked from the same objects as tests, so that nothing
/// is compiled twice. Objects that were compiled against shared libraries don't name Foundation's parts: so
/// they are named here. No package may depend on a product with such flags; these are programs only.
let selfContained: [LinkerSetting] = [
    .unsafeFlags([
        "-static-stdlib", "-l_FoundationCollections", "-lCoreFoundation", "-l_FoundationICU",
        "-l_FoundationCShims",
        // Relocations take 30 KB instead of 2 MB, all of which a start reads: needs glibc 2.36.
        "-use-ld=lld", "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs",
        // No library looks for names in the program, and nothing changes addresses of functions once it runs.
        "-Xlinker", "--no-export-dynamic", "-Xlinker", "-z", "-Xlinker", "now",
    ])
]

let package = Package(
    name: "durable-streams-nginx",
    products: [
        .executable(name: "durable-streams", targets: ["durable-streams"]),
        .executable(name: "durable-streams-worker", targets: ["durable-streams-worker"]),
        .executable(name: "durable-streams-live", targets: ["durable-streams-live"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(
            url: "https://github.com/apple/swift-configuration", from: "1.4.0",
            traits: ["YAML"]),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.90.0"),
        // The benchmark's programs alone use it.
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // C libraries and system headers.
        .systemLibrary(
            name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(
            name: "CFastCGI", pkgConfig: "fcgi", providers: [.apt(["libfcgi-dev"])]),
        .systemLibrary(
            name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
        .systemLibrary(
            name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CLinux"),
        .target(name: "CNoLocales"),

        // Layers, lowest first. ARCHITECTURE.md says who may import whom.
        .target(name: "StreamProtocol", swiftSettings: strict),
        .target(name: "Telemetry", dependencies: ["CLinux"], swiftSettings: strict),
        .target(
            name: "StreamStore", dependencies: ["StreamProtocol", "CSQLite", "CLinux", "CXXHash"],
            swiftSettings: strict),
        .target(
            name: "WakeChannel", dependencies: ["StreamStore", "CLinux"], swiftSettings: strict),
        .target(
            name: "StreamAccess", dependencies: ["StreamProtocol", "StreamStore", "CCrypto"],
            swiftSettings: strict),
        .target(
            name: "StreamService",
            dependencies: ["StreamProtocol", "StreamStore", "StreamAccess", "Telemetry"],
            swiftSettings: strict),
        .target(
            name: "StreamAdmin",
            dependencies: ["StreamProtocol", "StreamStore", "StreamAccess", "StreamService", "Telemetry"],
            swiftSettings: strict),
        .target(
            name: "ServerSettings",
            dependencies: [
                .product(name: "Configuration", package: "swift-configuration")
            ],
            swiftSettings: strict),
        .target(
            name: "OperatorLog", dependencies: ["ServerSettings", "StreamProtocol"], swiftSettings: strict),
        .target(
            name: "FastCGITransport",
            dependencies: [
                "StreamProtocol", "StreamStore", "StreamAccess", "StreamService", "StreamAdmin", "Telemetry",
                "CFastCGI", "CLinux",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .target(
            name: "LiveTransport",
            dependencies: [
                "StreamProtocol", "StreamStore", "StreamAccess", "StreamService", "WakeChannel", "Telemetry",
                "CLinux",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .target(
            name: "Supervision",
            dependencies: ["ServerSettings", "OperatorLog", "Telemetry", "CCrypto", "CLinux"],
            swiftSettings: strict),

        .target(
            name: "ServerProcess",
            dependencies: [
                "ServerSettings", "OperatorLog", "StreamProtocol", "StreamStore", "StreamAccess",
                "StreamService",
                "StreamAdmin", "Telemetry",
                "CLinux",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),

        .target(
            name: "StreamClient", dependencies: ["CCurl", "StreamProtocol"], swiftSettings: strict),

        // Executables: thin.
        .executableTarget(
            name: "durable-streams",
            dependencies: [
                "ServerSettings", "StreamProtocol", "StreamStore", "StreamAccess", "StreamClient",
                "Supervision", "Telemetry", "CLinux", "CNoLocales",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict, linkerSettings: selfContained),
        .executableTarget(
            name: "durable-streams-worker",
            dependencies: [
                "ServerProcess", "StreamStore", "FastCGITransport", "WakeChannel", "Telemetry", "CNoLocales",
            ],
            swiftSettings: strict, linkerSettings: selfContained),
        .executableTarget(
            name: "durable-streams-live",
            dependencies: [
                "ServerProcess", "StreamStore", "StreamService", "LiveTransport", "WakeChannel", "Telemetry",
                "CNoLocales",
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: strict, linkerSettings: selfContained),

        // Benchmark helpers, built by `make bench` only.
        .executableTarget(
            name: "bench-responder", dependencies: ["CFastCGI", "CLinux"],
            path: "Tests/Bench/responder", swiftSettings: strict),
        .executableTarget(
            name: "bench-sse", dependencies: ["BenchCommon", "CLinux"],
            path: "Tests/Bench/sse", swiftSettings: strict),
        .executableTarget(name: "bench-writer", path: "Tests/Bench/writer"),
        .executableTarget(
            name: "bench-append", dependencies: ["BenchCommon", "CLinux"],
            path: "Tests/Bench/append", swiftSettings: strict),
        .target(
            name: "BenchCommon",
            dependencies: ["CLinux", .product(name: "Histogram", package: "hdrhistogram-swift")],
            path: "Tests/Bench/common", swiftSettings: strict),

        // What the tests of several targets share, and a second process that writes.
        .target(
            name: "TestStore", dependencies: ["StreamProtocol", "StreamStore"],
            path: "Tests/Support/TestStore", swiftSettings: strict),
        .executableTarget(
            name: "store-writer", dependencies: ["StreamProtocol", "StreamStore"],
            path: "Tests/Support/store-writer", swiftSettings: strict),

        .testTarget(
            name: "StreamProtocolTests", dependencies: ["StreamProtocol"],
            swiftSettings: strict),
        .testTarget(
            name: "StreamStoreTests",
            dependencies: ["StreamStore", "StreamProtocol", "TestStore", "CSQLite", "store-writer"],
            swiftSettings: strict),
        .testTarget(
            name: "WakeChannelTests",
            dependencies: ["WakeChannel", "StreamStore", "TestStore", "CLinux"],
            swiftSettings: strict),
        .testTarget(
            name: "StreamServiceTests",
            dependencies: ["StreamService", "StreamStore", "StreamProtocol", "Telemetry", "TestStore"],
            swiftSettings: strict),
        .testTarget(
            name: "StreamAccessTests",
            dependencies: ["StreamAccess", "StreamStore", "StreamProtocol", "TestStore"],
            swiftSettings: strict),
        .testTarget(name: "TelemetryTests", dependencies: ["Telemetry"], swiftSettings: strict),
        .testTarget(
            name: "StreamClientTests", dependencies: ["StreamClient"], swiftSettings: strict),
        .testTarget(
            name: "OperatorLogTests", dependencies: ["OperatorLog", "ServerSettings"], swiftSettings: strict),
        .testTarget(
            name: "ServerSettingsTests", dependencies: ["ServerSettings", "Supervision"],
            swiftSettings: strict),
    ]
)
