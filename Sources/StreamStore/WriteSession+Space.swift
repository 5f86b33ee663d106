/// What a transaction may add, when the disk is nearly full.
extension WriteSession {
    /// Whether the disk has room for a body, which is then taken into account.
    func takesRoom(for body: PreparedBody) -> Bool {
        guard room < .max else { return true }
        // Once in the log, once in the database.
        let needed = 2 * Int64(body.weight)
        guard room >= needed else { return false }
        room -= needed
        return true
    }

    /// Finds out how much may come in, once for all members of a group.
    func lookAtSpace() throws(StoreError) {
        room = .max
        guard let space else { return }
        if space.isLow { room = -1 }
        guard space.isTight else { return }
        // What is committed must fit into the database, whose file may have to grow for what is in the log already.
        let (pages, free) = (try number(statements.allPages), try number(statements.freePages))
        let owed = space.owe(pages: pages, beyond: hotLog)
        space.look()
        if room >= 0 { room = max(0, space.bytesAvailable - owed + free * DiskSpace.page - DiskSpace.slack) }
    }
}
