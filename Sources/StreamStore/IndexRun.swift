/// Records of one stream that follow each other: a row of the table `record_index`.
///
/// The row names the first record in its columns and the others in a blob, since a row for each record cost seven times
/// the instructions: the table is ordered by stream, and most of the price of a row is to find its place.
struct IndexRun {
    /// A record.
    struct Entry {
        /// Before its first unit.
        let position: Int64
        /// Its id.
        let record: Int64
    }

    /// In order of position, at least one.
    let entries: [Entry]

    /// Records of a run at most: with more, a row of the table would not fit on its page any more
    /// (https://sqlite.org/fileformat2.html, "Cell Payload Overflow Pages": 1,002 bytes of a page of 4 KiB).
    static let limit = 56
    /// Bytes of a further record: position and id, little-endian.
    private static let stride = 16

    init(_ entries: [Entry]) { self.entries = entries }

    /// Reads the columns `position, record, further`.
    init(row: SQLiteStatement) {
        var entries = [Entry(position: row.int(0), record: row.int(1))]
        let further = row.blob(2)
        entries.reserveCapacity(1 + further.count / IndexRun.stride)
        for offset in Swift.stride(from: 0, to: further.count - IndexRun.stride + 1, by: IndexRun.stride) {
            func number(_ offset: Int) -> Int64 {
                Int64(littleEndian: further.loadUnaligned(fromByteOffset: offset, as: Int64.self))
            }
            entries.append(Entry(position: number(offset), record: number(offset + 8)))
        }
        self.entries = entries
    }

    /// All behind the first, as the column `further` has them; nil: there are none.
    var further: [UInt8]? {
        guard entries.count > 1 else { return nil }
        return [UInt8](unsafeUninitializedCapacity: (entries.count - 1) * IndexRun.stride) { bytes, count in
            for entry in entries.dropFirst() {
                for number in [entry.position, entry.record] {
                    withUnsafeBytes(of: number.littleEndian) {
                        UnsafeMutableRawBufferPointer(bytes)[count..<count + 8].copyBytes(from: $0)
                    }
                    count += 8
                }
            }
        }
    }

    /// The entries, without those that end at or before a position.
    func from(_ position: Int64) -> ArraySlice<Entry> {
        entries[(entries.lastIndex { $0.position <= position } ?? 0)...]
    }
}

extension RecordIndex {
    /// A record that is not in the table yet.
    struct Entry {
        let position: Int64
        let end: Int64
        let record: Int64
        let bytes: Int32
        /// Messages of a JSON stream, 1 of any other.
        let messages: Int32
    }
}
