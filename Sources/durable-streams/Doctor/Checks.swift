/// What is asked from outside, in order. Those that others depend on come first, those that wait last.
enum SiteChecks {
    static var all: [any SiteCheck.Type] {
        [
            Readiness.self, Certificate.self, TLSVersion.self, HTTP2.self, PlainHTTP.self, Clock.self,
            Connections.self, Methods.self, QueryStrings.self, RequestHeaders.self, ResponseHeaders.self,
            LocationHeader.self,
            ErrorPages.self, Paths.self, HeadTail.self, OwnWrites.self, CachedErrors.self,
            CacheBeforeAuth.self, QueryOrder.self, CrossOrigin.self, Preflight.self, AdminPage.self,
            Compression.self,
            EventCompression.self, BodyLimit.self, LongPoll.self, EventBuffering.self, LongPollTime.self,
            EventStreamTime.self,
        ]
    }
}

/// What is looked at on the machine itself.
enum HostChecks {
    static var all: [any HostCheck.Type] {
        [
            Processes.self, Versions.self, DiskSpaceCheck.self, FileSystem.self, DiskSync.self,
            Permissions.self,
            Sockets.self, Descriptors.self, Kernel.self,
        ]
    }
}
