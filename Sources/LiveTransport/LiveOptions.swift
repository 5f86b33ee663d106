import NIOCore
import StreamAccess

/// What the live process is told by its configuration.
public struct LiveOptions: Sendable {
    /// How long a long-poll waits.
    public var longPollTimeout: TimeAmount
    /// How long an event stream lasts before its reader is to come back.
    public var eventLifetime: TimeAmount
    /// After this long without traffic an event stream gets a comment.
    public var keepAlive: TimeAmount
    /// A reader that takes nothing for this long, with something to take, is cut off.
    public var stallLimit: TimeAmount = .seconds(30)
    /// What tells a request of the administrator's; nil: there is no such route.
    public var adminKey: AdminKey?

    /// Most jitter on the lifetime, so that readers of one moment don't come back in one moment; a
    /// twelfth of the lifetime, 5 s of the usual 60 s.
    var maximumJitter: TimeAmount { .nanoseconds(eventLifetime.nanoseconds / 12) }

    /// Bytes that may wait in the process for one reader's socket before its stream is read no further.
    static let highWatermark = 65_536

    /// Collects the options.
    public init(longPollTimeout: TimeAmount, eventLifetime: TimeAmount, keepAlive: TimeAmount) {
        self.longPollTimeout = longPollTimeout
        self.eventLifetime = eventLifetime
        self.keepAlive = keepAlive
    }
}
