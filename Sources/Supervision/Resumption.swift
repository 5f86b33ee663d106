import Glibc
import ServerSettings

/// What a supervisor hands to the program that takes its place in the same process: an upgrade replaces it too, while its
/// children, locks and sockets stay. It travels as a variable of the environment.
public struct Resumption: Equatable, Sendable {
    /// A process that runs.
    struct Seat: Equatable, Sendable {
        var role: Role
        var slot: Int
        var identifier: pid_t
        var started: Double
        /// When it is told once more to end; nil: it should run.
        var retiresAt: Double?
    }

    /// Descriptors that are passed on.
    struct Descriptors: Equatable, Sendable {
        var lock: Int32
        /// -1 where the workers are not ours.
        var worker: Int32
        /// -1 where the live process is not ours.
        var live: Int32
        /// Whether they are systemd's, each.
        var isWorkerPassed = false
        var isLivePassed = false
        var giving: Int32
        var taking: Int32
        /// Where nginx's errors are read, and where it writes them.
        var errorsRead: Int32
        var errorsWritten: Int32

        var all: [Int32] {
            [lock, worker, live, giving, taking, errorsRead, errorsWritten].filter { $0 >= 0 }
        }
    }

    var descriptors: Descriptors
    /// Reloads that have begun, the present one included, and those that have ended.
    var started: Int
    var finished: Int
    var seats: [Seat]
    /// The settings of the processes that run, as variables.
    var settings: [String: String]

    /// The variable's name.
    public static let variable = "DURABLE_STREAMS_RESUME"

    /// What `text` says; nil when it can't be understood.
    public init?(_ text: String) {
        var lines = text.split(separator: "\n")[...]
        let numbers = lines.popFirst()?.split(separator: " ").compactMap { Int32($0) } ?? []
        guard numbers.count == 11 else { return nil }
        descriptors = Descriptors(
            lock: numbers[0], worker: numbers[1], live: numbers[2], isWorkerPassed: numbers[3] != 0,
            isLivePassed: numbers[4] != 0, giving: numbers[5], taking: numbers[6],
            errorsRead: numbers[7], errorsWritten: numbers[8])
        (started, finished) = (Int(numbers[9]), Int(numbers[10]))
        (seats, settings) = ([], [:])
        while let line = lines.popFirst() {
            if line.hasPrefix("process ") {
                guard let seat = Seat(line) else { return nil }
                seats.append(seat)
            } else if let equals = line.firstIndex(of: "=") {
                settings[String(line[..<equals])] = String(line[line.index(after: equals)...])
            } else {
                return nil
            }
        }
    }

    init(
        descriptors: Descriptors, started: Int, finished: Int, seats: [Seat], settings: [String: String]
    ) {
        self.descriptors = descriptors
        self.started = started
        self.finished = finished
        self.seats = seats
        self.settings = settings
    }

    var text: String {
        let numbers = [
            Int(descriptors.lock), Int(descriptors.worker), Int(descriptors.live),
            descriptors.isWorkerPassed ? 1 : 0, descriptors.isLivePassed ? 1 : 0,
            Int(descriptors.giving), Int(descriptors.taking), Int(descriptors.errorsRead),
            Int(descriptors.errorsWritten), started, finished,
        ]
        let head = numbers.map { "\($0)" }.joined(separator: " ")
        let processes = seats.map(\.line)
        let values = settings.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return ([head] + processes + values).joined(separator: "\n")
    }

    /// The settings that the processes run with.
    ///
    /// - Throws: `configuration` when this program doesn't know them any more.
    public func load() throws(SupervisionError) -> Settings {
        do throws(SettingsError) {
            return try Settings.load(arguments: [], environment: settings)
        } catch {
            throw SupervisionError(.configuration, error.description)
        }
    }
}

extension Resumption.Seat {
    fileprivate var line: String {
        "process \(role.word) \(slot) \(identifier) \(started) \(retiresAt.map { "\($0)" } ?? "-")"
    }

    fileprivate init?(_ line: Substring) {
        let words = line.split(separator: " ")
        guard words.count == 6, let role = Role(String(words[1])), let slot = Int(words[2]),
            let identifier = pid_t(words[3]), let started = Double(words[4])
        else { return nil }
        self.init(
            role: role, slot: slot, identifier: identifier, started: started, retiresAt: Double(words[5]))
    }
}

extension Role {
    /// The name by which one program tells another of it.
    fileprivate var word: String {
        switch self {
        case .worker(let number): "worker-\(number)"
        case .live: "live"
        case .nginx: "nginx"
        }
    }

    fileprivate init?(_ word: String) {
        if word == "live" {
            self = .live
        } else if word == "nginx" {
            self = .nginx
        } else if word.hasPrefix("worker-"), let number = Int(word.dropFirst("worker-".count)) {
            self = .worker(number)
        } else {
            return nil
        }
    }
}
