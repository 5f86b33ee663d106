import CLinux
import Glibc
import StreamStore
import TestStore
import Testing
import WakeChannel

/// The other end of the wake socket.
private final class Listener {
    private let descriptor: Int32
    private let path: String

    init(_ path: String) throws {
        self.path = path
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        guard ds_unix_address(path, &address) == 0 else { throw Failure(code: errno) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, listen(descriptor, 8) == 0 else { throw Failure(code: errno) }
    }

    func accept() throws -> Connection {
        let accepted = ds_accept(descriptor)
        guard accepted >= 0 else { throw Failure(code: errno) }
        return Connection(descriptor: accepted)
    }

    deinit {
        close(descriptor)
        unlink(path)
    }

    struct Failure: Error { let code: Int32 }
}

private final class Connection {
    private let descriptor: Int32

    init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Sends one byte.
    func say(_ byte: UInt8) { withUnsafeBytes(of: byte) { _ = write(descriptor, $0.baseAddress, 1) } }

    /// Reads until all `ids` were seen; gives every id in the order of arrival. Nil when the other side ends first.
    func receive(_ ids: Set<Int64>) -> [Int64]? {
        var received: [Int64] = []
        var rest: [UInt8] = []
        var missing = ids
        while !missing.isEmpty {
            var buffer = [UInt8](repeating: 0, count: 4_096)
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return nil }
            rest += buffer[..<count]
            while rest.count >= WakeMessage.size {
                let id = rest[..<WakeMessage.size].reversed().reduce(Int64(0)) { $0 << 8 | Int64($1) }
                rest.removeFirst(WakeMessage.size)
                received.append(id)
                missing.remove(id)
            }
        }
        return received
    }
}

@Suite struct WakeChannelTests {
    private static func changes(_ ids: some Sequence<Int64>) -> [StreamChange] {
        ids.map { StreamChange(id: $0) }
    }

    private static let greeting = [WakeMessage.offer, WakeMessage.greeting]

    @Test func aListenerHearsEachStream() throws {
        let folder = try TemporaryFolder()
        let listener = try Listener(folder.path + "/wake")
        let sender = WakeSender(path: folder.path + "/wake")
        sender.notify(Self.changes([7, 8]))
        let connection = try listener.accept()
        // In any order, behind the time and the offer.
        #expect((connection.receive([7, 8]) ?? []).filter { $0 > 0 }.sorted() == [7, 8, WakeMessage.offer])
        sender.notify(Self.changes([9]))
        #expect(connection.receive([9])?.last == 9)
        sender.stop()
        #expect(connection.receive([1]) == nil)
    }

    @Test func whatNobodyHearsIsKeptOncePerStream() throws {
        let folder = try TemporaryFolder()
        let sender = WakeSender(path: folder.path + "/wake")
        for _ in 0..<1_000 { sender.notify(Self.changes([1, 2, 3])) }
        let listener = try Listener(folder.path + "/wake")
        let connection = try listener.accept()
        let received = try #require(connection.receive([WakeMessage.greeting, 1, 2, 3]))
        #expect(received.filter { $0 >= 0 }.sorted() == [WakeMessage.greeting, 1, 2, 3, WakeMessage.offer])
        #expect(received.filter { $0 < 0 }.count == 1, "one time for all")
        sender.stop()
        #expect(connection.receive([1]) == nil, "nothing else was sent")
    }

    @Test func aRestartedListenerIsReached() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/wake"
        let sender = WakeSender(path: path)
        for generation in 1...3 as ClosedRange<Int64> {
            let listener = try Listener(path)
            // A first message may go to the socket of the listener before, which reads the log when it
            // starts; what comes behind it arrives.
            var connection: Connection?
            let accepted = Mailbox<Void>()
            let nudge = NamedThread("nudge") {
                while accepted.received.isEmpty {
                    sender.notify(Self.changes([generation]))
                    usleep(1_000)
                }
            }
            connection = try listener.accept()
            accepted.deliver(())
            nudge.join()
            sender.notify(Self.changes([generation * 100]))
            #expect(connection?.receive([generation * 100]) != nil)
            connection = nil
        }
        sender.stop()
    }

    private static let append = StreamChange(id: 7, appended: Appended(start: 3, end: 5, payload: [8, 9]))

    /// Sends an append again and again until it comes in the expected form, behind whatever else.
    private func untilTold(_ sender: WakeSender, _ connection: Connection, _ expected: [Int64]) -> Bool {
        for _ in 0..<500 {
            sender.notify([Self.append, StreamChange(id: 20)])
            guard let received = connection.receive([20]) else { return false }
            if received.drop(while: { $0 < 0 && $0 > Int64.min / 2 }) == expected[...] { return true }
            usleep(1_000)
        }
        return false
    }

    /// As if two bytes were a number of their own, to whoever reads numbers.
    private static let told: [Int64] = [.min + 2, 7, 3, 5, 9 << 8 | 8, 20]

    @Test func whatWasAppendedIsToldToWhoUnderstandsIt() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/wake"
        let sender = WakeSender(path: path)
        var listener: Listener? = try Listener(path)
        var connection: Connection? = try listener?.accept()
        #expect(connection?.receive([WakeMessage.greeting]) == Self.greeting)
        for _ in 0..<3 {
            sender.notify([Self.append, StreamChange(id: 20)])
            #expect(connection?.receive([20])?.filter { $0 > 0 } == [7, 20], "nobody has asked for it")
        }
        connection?.say(WakeMessage.acceptance + 1)
        sender.notify([Self.append, StreamChange(id: 20)])
        #expect(connection?.receive([20])?.filter { $0 > 0 } == [7, 20], "that was no acceptance")
        connection?.say(WakeMessage.acceptance)
        #expect(untilTold(sender, try #require(connection), Self.told))
        // An older one in its place understands ids only.
        (listener, connection) = (nil, nil)
        listener = try Listener(path)
        connection = try listener?.accept()
        #expect(connection?.receive([WakeMessage.greeting]) != nil)
        #expect(untilTold(sender, try #require(connection), [7, 20]))
        sender.stop()
    }

    /// What waits for the socket may be more than one change by the time it is sent.
    @Test func whatWaitedIsToldByIDsAlone() throws {
        let folder = try TemporaryFolder()
        let sender = WakeSender(path: folder.path + "/wake")
        let listener = try Listener(folder.path + "/wake")
        let connection = try listener.accept()
        connection.say(WakeMessage.acceptance)
        #expect(connection.receive([WakeMessage.greeting]) != nil)
        #expect(untilTold(sender, connection, Self.told))
        let many = Self.changes(1_000...60_000)
        for _ in 0..<3 { sender.notify(many) }
        for _ in 0..<5 { sender.notify([Self.append]) }
        sender.notify(Self.changes([70_000]))
        let received = try #require(connection.receive([7, 70_000]))
        #expect(received.count { $0 == 7 } == 1 && !received.contains(.min + 2))
        sender.stop()
    }

    /// The socket takes nothing more: no commit waits for it, and each stream is told once when it does again.
    @Test func aStalledListenerHoldsUpNobody() throws {
        let folder = try TemporaryFolder()
        let listener = try Listener(folder.path + "/wake")
        let sender = WakeSender(path: folder.path + "/wake")
        sender.notify(Self.changes([1]))
        let connection = try listener.accept()
        let ids = Int64(1)...50_000
        // Far more than a socket buffer holds.
        for _ in 0..<20 { sender.notify(Self.changes(ids)) }
        sender.notify(Self.changes([60_000]))
        let received = try #require(connection.receive(Set(ids).union([60_000])))
        #expect(received.count < 3 * 50_000, "coalesced, out of a million")
        sender.stop()
    }

    /// A listener must know whose end it has to notice, before the first commit and after each restart.
    @Test func everyListenerIsGreeted() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/wake"
        let sender = WakeSender(path: path)
        for _ in 0..<2 {
            let listener = try Listener(path)
            let greeted = Mailbox<Void>()
            // Only what is sent shows a sender that its listener has gone.
            let nudge = NamedThread("nudge") {
                while greeted.received.isEmpty {
                    sender.notify(Self.changes([5]))
                    usleep(1_000)
                }
            }
            let connection = try listener.accept()
            #expect(connection.receive([WakeMessage.greeting]) != nil)
            greeted.deliver(())
            nudge.join()
        }
        sender.stop()
    }

    @Test func aQuietSenderGreetsToo() throws {
        let folder = try TemporaryFolder()
        let sender = WakeSender(path: folder.path + "/wake")
        let listener = try Listener(folder.path + "/wake")
        #expect(try listener.accept().receive([WakeMessage.greeting]) == Self.greeting)
        sender.stop()
    }

    /// A live process that takes over has to know of all workers, also of those that commit nothing for a while.
    @Test func aQuietSenderGreetsTheNextListenerToo() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/wake"
        let sender = WakeSender(path: path)
        let first = try Listener(path)
        var connection: Connection? = try first.accept()
        #expect(connection?.receive([WakeMessage.greeting]) != nil)
        unlink(path)
        let second = try Listener(path)
        connection = nil
        #expect(try second.accept().receive([WakeMessage.greeting]) == Self.greeting)
        sender.stop()
    }

    /// What the one before was told, the next one has to look for.
    @Test func aSenderThatEndsGreetsTheNextListener() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/wake"
        let sender = WakeSender(path: path)
        let first = try Listener(path)
        var connection: Connection? = try first.accept()
        #expect(connection?.receive([WakeMessage.greeting]) != nil)
        unlink(path)
        let second = try Listener(path)
        connection = nil
        sender.stop()
        #expect(try second.accept().receive([WakeMessage.greeting]) == Self.greeting)
    }

    @Test func interestOfSeveralLiveProcesses() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/interest"
        let worker = LiveInterest(path: path)
        #expect(!worker.isAnybodyWaiting)
        let live = (0..<LiveInterest.slots).map { LiveInterest(path: path, slot: $0) }
        for (slot, one) in live.enumerated() {
            one.add(2)
            #expect(worker.isAnybodyWaiting, "slot \(slot)")
            // A successor in another slot begins without taking anybody's number.
            live[(slot + 1) % live.count].reset()
            #expect(worker.isAnybodyWaiting, "slot \(slot)")
            one.add(-1)
            #expect(worker.isAnybodyWaiting, "slot \(slot)")
            one.add(-1)
            #expect(!worker.isAnybodyWaiting, "slot \(slot)")
        }
        // One that was killed leaves its number until its slot is used again.
        live[3].add(5)
        LiveInterest(path: path, slot: 3).reset()
        #expect(!worker.isAnybodyWaiting)
    }

    /// A file as an earlier version made it is shorter.
    @Test func interestInAShortFile() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/interest"
        let descriptor = open(path, O_CREAT | O_WRONLY, 0o600)
        let number = [UInt8](repeating: 0, count: 8)
        #expect(write(descriptor, number, 8) == 8)
        close(descriptor)
        let live = LiveInterest(path: path, slot: 7)
        live.add(1)
        #expect(LiveInterest(path: path).isAnybodyWaiting)
    }

    @Test func stoppingDoesNotWaitForAListener() throws {
        let folder = try TemporaryFolder()
        let sender = WakeSender(path: folder.path + "/nobody")
        sender.notify(Self.changes([1]))
        sender.stop()
        sender.stop()
    }
}
