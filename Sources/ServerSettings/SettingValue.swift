/// The grammar of one setting and the field it fills: text to value and back.
struct SettingValue: Sendable {
    /// What `set` accepts, to complete the sentence "give …".
    let accepted: String
    /// What of it belongs behind a unit: `1 to 64`; nil where a unit says it all.
    let range: String?
    /// The words that `set` accepts, where they are few.
    let choices: [String]
    /// Stores the parsed text; false when the text is not accepted.
    let set: @Sendable (inout Settings, String) -> Bool
    /// The text that `set` would parse to the field's value; empty for an optional field without a value.
    let text: @Sendable (Settings) -> String

    typealias Field<Value> = any WritableKeyPath<Settings, Value> & Sendable

    private init<Value>(
        _ field: Field<Value>, accepted: String, range: String? = nil, choices: [String] = [],
        parse: @escaping @Sendable (String) -> Value?, format: @escaping @Sendable (Value) -> String
    ) {
        self.accepted = accepted
        self.range = range
        self.choices = choices
        set = { settings, text in
            guard let value = parse(text) else { return false }
            settings[keyPath: field] = value
            return true
        }
        text = { format($0[keyPath: field]) }
    }

    static func listenAddress(_ field: Field<ListenAddress>) -> SettingValue {
        SettingValue(
            field, accepted: ListenAddress.grammar, parse: { ListenAddress($0) }, format: { $0.description })
    }

    static func integer(_ field: Field<Int>, _ range: ClosedRange<Int>) -> SettingValue {
        SettingValue(
            field, accepted: "a whole number from \(range.lowerBound) to \(range.upperBound)",
            range: "\(range.lowerBound) to \(range.upperBound)",
            parse: { WholeNumber.parse($0).flatMap { range.contains($0) ? $0 : nil } }, format: { "\($0)" })
    }

    static func seconds(_ field: Field<Double>, _ range: ClosedRange<Double>) -> SettingValue {
        let (low, high) = (Seconds.format(range.lowerBound), Seconds.format(range.upperBound))
        return SettingValue(
            field, accepted: "seconds from \(low) to \(high), such as 30 or 0.5", range: "\(low) to \(high)",
            parse: { Seconds.parse($0).flatMap { range.contains($0) ? $0 : nil } },
            format: { Seconds.format($0) })
    }

    static func bytes(_ field: Field<Int>, _ range: ClosedRange<Int>) -> SettingValue {
        let (low, high) = (ByteSize.format(range.lowerBound), ByteSize.format(range.upperBound))
        return SettingValue(
            field, accepted: "bytes from \(low) to \(high), such as 1048576, 512KiB, 16MiB or 1GiB",
            range: "\(low) to \(high)",
            parse: { ByteSize.parse($0).flatMap { range.contains($0) ? $0 : nil } },
            format: { ByteSize.format($0) })
    }

    static func origin(_ field: Field<String?>) -> SettingValue {
        SettingValue(
            field,
            accepted:
                "an origin such as https://streams.example.org, without path and trailing slash, or nothing",
            parse: { text -> String?? in
                if text.isEmpty { return .some(nil) }
                return PublicOrigin.isValid(text) ? .some(text) : nil
            }, format: { $0 ?? "" })
    }

    static func authMode(_ field: Field<AuthMode>) -> SettingValue {
        SettingValue(
            field, accepted: "one of " + AuthMode.allCases.map(\.rawValue).joined(separator: ", "),
            range: "one of " + AuthMode.allCases.map(\.rawValue).joined(separator: ", "),
            choices: AuthMode.allCases.map(\.rawValue),
            parse: { AuthMode(rawValue: $0) }, format: { $0.rawValue })
    }

    static func flag(_ field: Field<Bool>) -> SettingValue {
        SettingValue(
            field, accepted: "true or false", choices: ["true", "false"],
            parse: { $0 == "true" ? true : $0 == "false" ? false : nil },
            format: { "\($0)" })
    }

    static func addresses(_ field: Field<AddressList>) -> SettingValue {
        SettingValue(
            field, accepted: AddressList.grammar, parse: { AddressList($0) }, format: { $0.description })
    }

    static func endpoint(_ field: Field<String?>) -> SettingValue {
        SettingValue(
            field,
            accepted:
                "an http:// URL with a path, such as http://127.0.0.1:9000/check, without query, or nothing",
            parse: { text -> String?? in
                if text.isEmpty { return .some(nil) }
                return PublicOrigin.isEndpoint(text) ? .some(text) : nil
            }, format: { $0 ?? "" })
    }

    static func logLevel(_ field: Field<LogLevel>) -> SettingValue { choice(field) }

    static func choice<Choice: RawRepresentable<String> & CaseIterable & Sendable>(
        _ field: Field<Choice>
    ) -> SettingValue {
        SettingValue(
            field, accepted: "one of " + Choice.allCases.map(\.rawValue).joined(separator: ", "),
            range: "one of " + Choice.allCases.map(\.rawValue).joined(separator: ", "),
            choices: Choice.allCases.map(\.rawValue),
            parse: { Choice(rawValue: $0) }, format: { $0.rawValue })
    }

    static func requestLog(_ field: Field<RequestLog>) -> SettingValue {
        SettingValue(
            field, accepted: RequestLog.grammar, parse: { RequestLog($0) }, format: { $0.description })
    }

    static func path(_ field: Field<String>) -> SettingValue {
        SettingValue(field, accepted: pathGrammar, parse: { AbsolutePath.make($0) }, format: { $0 })
    }

    static func optionalPath(_ field: Field<String?>) -> SettingValue {
        SettingValue(
            field, accepted: pathGrammar + ", or nothing",
            parse: { text -> String?? in
                if text.isEmpty { return .some(nil) }
                return AbsolutePath.make(text).map { .some($0) }
            }, format: { $0 ?? "" })
    }

    /// A bare name stays a name, to be searched later; anything with a slash becomes an absolute path.
    static func executable(_ field: Field<String>) -> SettingValue {
        SettingValue(
            field, accepted: "the name or the path of an executable",
            parse: { $0.contains("/") ? AbsolutePath.make($0) : ($0.isEmpty ? nil : $0) }, format: { $0 })
    }

    /// The name of a user or a group, or nothing.
    static func optionalName(_ field: Field<String?>) -> SettingValue {
        SettingValue(
            field, accepted: "a name of letters, digits, dots, dashes and underscores, or nothing",
            parse: { text -> String?? in
                if text.isEmpty { return .some(nil) }
                let isName = text.unicodeScalars.allSatisfy {
                    $0.isASCII
                        && ($0.properties.isAlphabetic || ("0"..."9").contains($0)
                            || "._-".unicodeScalars.contains($0))
                }
                return isName && !text.hasPrefix("-") ? .some(text) : nil
            }, format: { $0 ?? "" })
    }

    private static let pathGrammar =
        "a path without white space, control characters or any of \(AbsolutePath.refusedCharacters)"
}
