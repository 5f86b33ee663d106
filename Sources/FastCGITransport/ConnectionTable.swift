/// The connections of a thread by tokens. A token is never used again, as the number of a closed descriptor soon is: an event
/// that was on its way for a connection that has gone finds nobody.
struct ConnectionTable {
    private var places: [(serial: UInt32, connection: FastCGIConnection?)] = []
    private var free: [Int] = []
    private var serial: UInt32 = 0

    /// Takes a connection in; gives its token, which is beyond all numbers of descriptors.
    mutating func add(_ connection: FastCGIConnection) -> UInt64 {
        // From 1 on, so that no token is as small as a descriptor.
        serial = serial == .max ? 1 : serial + 1
        let index = free.popLast() ?? places.count
        if index == places.count {
            places.append((serial, connection))
        } else {
            places[index] = (serial, connection)
        }
        return UInt64(serial) << 32 | UInt64(index)
    }

    /// The connection with a token, as long as it is here.
    subscript(token: UInt64) -> FastCGIConnection? {
        let index = Int(token & 0xFFFF_FFFF)
        guard index < places.count, places[index].serial == UInt32(token >> 32) else { return nil }
        return places[index].connection
    }

    /// Lets go of a connection.
    mutating func remove(_ token: UInt64) {
        guard self[token] != nil else { return }
        let index = Int(token & 0xFFFF_FFFF)
        places[index].connection = nil
        free.append(index)
    }

    /// The tokens of all that are here.
    var tokens: [UInt64] {
        places.indices.compactMap { index in
            places[index].connection.map { _ in UInt64(places[index].serial) << 32 | UInt64(index) }
        }
    }
}
