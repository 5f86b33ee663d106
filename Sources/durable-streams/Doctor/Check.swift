import StreamClient

/// One question to a deployment. Its name is the same in all versions.
protocol Check {
    /// Words with dashes between them.
    static var name: String { get }
}

/// A question that is asked from outside, over HTTP.
protocol SiteCheck: Check {
    /// What it cannot do without.
    static var need: SiteNeed { get }
    /// Asks it.
    ///
    /// - Throws: ``Obstacle`` when there is no answer to it.
    static func examine(_ site: Site) throws(Obstacle) -> [Diagnosis]
}

/// A question that is asked on the machine itself.
protocol HostCheck: Check {
    /// Asks it.
    static func examine(_ host: Host) throws(Obstacle) -> [Diagnosis]
}

/// What a check from outside cannot do without.
enum SiteNeed {
    case nothing
    /// A stream that may be read.
    case reading
    /// Streams may be made.
    case writing
}

/// Why a check has no result.
enum Obstacle: Error {
    /// It does not apply here, or something it needs is missing.
    case skipped(String)
    /// No complete answer came.
    case failed(ClientError)
    /// Somebody has asked to stop.
    case interrupted
}
