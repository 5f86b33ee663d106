import Glibc

/// The two ends of a pair of sockets through which workers give their connections to others, whole descriptors each a
/// message. The supervisor keeps both, so that connections wait there while no worker runs.
struct SocketPair: ~Copyable {
    /// Where workers that end put connections in.
    let giving: Int32
    /// Where running workers take them out.
    let taking: Int32

    init() throws(SupervisionError) {
        (giving, taking) = try SocketPair.open(SOCK_SEQPACKET)
    }

    /// Goes on with one that the program before this one has made.
    init(adopting giving: Int32, _ taking: Int32) {
        (self.giving, self.taking) = (giving, taking)
        for end in [giving, taking] { Handles.keepFromOthers(end) }
    }

    deinit {
        close(giving)
        close(taking)
    }

    /// A pair of Unix sockets, closed when another program is run.
    static func open(_ type: __socket_type) throws(SupervisionError) -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(type.rawValue) | ListenCheck.closeOnExec, 0, &ends) == 0 else {
            throw .system("creating a pair of sockets", code: errno)
        }
        return (ends[0], ends[1])
    }
}
