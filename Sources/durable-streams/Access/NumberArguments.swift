import ArgumentParser
import ServerSettings

/// A whole number as an argument: decimal digits, nothing else. `Int64` alone would accept a sign.
struct CountArgument: ExpressibleByArgument {
    let value: Int64

    init(_ value: Int64) { self.value = value }

    init?(argument: String) {
        guard !argument.isEmpty, argument.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            let value = Int64(argument)
        else { return nil }
        self.value = value
    }

    var defaultValueDescription: String { "\(value)" }
}

/// A number of bytes as an argument, in the notation of settings: `1048576`, `512KiB`, `10GiB`.
struct SizeArgument: ExpressibleByArgument {
    let bytes: Int64

    init?(argument: String) {
        guard let bytes = ByteSize.parse(argument) else { return nil }
        self.bytes = Int64(bytes)
    }
}
