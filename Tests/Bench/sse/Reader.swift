/// A connection on which messages arrive.
protocol Reader: AnyObject {
    /// What to watch.
    var descriptor: Int32 { get }
    /// Whether messages will reach it from now on.
    var isReady: Bool { get }
    /// Messages that came twice, too early or not at all.
    var disorder: Int { get }
    /// Whether the connection is still open; hands on what a read has brought, as the due time of each message.
    func receive(scratch: UnsafeMutableRawBufferPointer, deliver: (Int64) -> Void) throws -> Bool
}
