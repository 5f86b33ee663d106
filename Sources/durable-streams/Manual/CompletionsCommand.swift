import ArgumentParser
import ServerSettings

/// `durable-streams completions`
struct CompletionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions",
        abstract: "Print what a shell needs to complete commands, options and settings.",
        discussion: """
            Examples: durable-streams completions bash > /usr/share/bash-completion/completions/durable-streams
            durable-streams completions zsh > /usr/share/zsh/vendor-completions/_durable-streams
            durable-streams completions fish > /usr/share/fish/vendor_completions.d/durable-streams.fish
            """)

    /// The shells.
    enum Shell: String, CaseIterable, ExpressibleByArgument {
        case bash, zsh, fish
    }

    @Argument(help: "bash, zsh or fish.")
    var shell: Shell

    func run() {
        switch shell {
        case .bash: Output.write(SettingCompletions.bash(DurableStreams.completionScript(for: .bash)))
        case .zsh: Output.write(SettingCompletions.zsh(DurableStreams.completionScript(for: .zsh)))
        case .fish: Output.write(SettingCompletions.fish(DurableStreams.completionScript(for: .fish)))
        }
    }
}

/// Adds the flags of settings to completion scripts: the parser does not know them, since they are arguments of their
/// own table.
enum SettingCompletions {
    /// The commands that take settings.
    static let commands = ["serve", "nginx-config", "check-config"]

    private static let program = "durable-streams"
    private static let directories: Set = ["data_dir", "nginx_templates"]

    private static var flags: [String] { [SettingKey.configFlag] + SettingKey.all.map(\.flag) }

    /// A script of bash: names among the options, and values where they are words or paths.
    static func bash(_ script: String) -> String {
        let table = "non_repeating_options=("
        return edit(script, functions: { "_\(program)_\($0)() {" }) { line, _ in
            guard let range = line.firstIndex(of: "("), line.trimmedStart.hasPrefix(table) else { return nil }
            let old = line[line.index(after: range)...].dropLast()
            let all = (old.isEmpty ? [] : [String(old)]) + flags
            return [String(line[...range]) + all.joined(separator: " ") + ")"]
        }.replacing(line: "    __\(program)_offer_flags_options -1", in: commands) { indent in
            var lines = ["\(indent)case \"${prev}\" in"]
            for key in SettingKey.all where !key.choices.isEmpty {
                lines += [
                    "\(indent)\(key.flag))",
                    "\(indent)    __\(program)_add_completions -W $'\(key.choices.joined(separator: "\\n"))'",
                    "\(indent)    return", "\(indent)    ;;",
                ]
            }
            let folders = SettingKey.all.filter { directories.contains($0.name) }.map(\.flag)
            lines += [
                "\(indent)\(folders.joined(separator: " | ")))",
                "\(indent)    __\(program)_add_completions -d",
                "\(indent)    return", "\(indent)    ;;",
                "\(indent)\(SettingKey.configFlag))", "\(indent)    __\(program)_add_completions -f",
                "\(indent)    return", "\(indent)    ;;", "\(indent)esac",
            ]
            return lines
        }
    }

    /// A script of zsh: a line for each in the list of `_arguments`.
    static func zsh(_ script: String) -> String {
        edit(script, functions: { "_\(program)_\($0)() {" }) { line, _ in
            guard line.trimmedStart.hasPrefix("local -ar arg_specs=(") else { return nil }
            let specifications = SettingKey.all.map { key in
                let values =
                    key.choices.isEmpty
                    ? directories.contains(key.name) ? "_files -/" : ""
                    : "(\(key.choices.joined(separator: " ")))"
                return "        '\(key.flag)[\(zshText(key.reason))]:\(zshText(key.unit)):\(values)'"
            }
            return [line, "        '\(SettingKey.configFlag)[a settings file]:path:_files'"] + specifications
        }
    }

    /// A script of fish: lines behind it.
    static func fish(_ script: String) -> String {
        var lines: [String] = []
        for command in commands {
            let condition = "-n '__fish_seen_subcommand_from \(command)'"
            lines.append("complete -c \(program) \(condition) -l config -d 'a settings file' -rF")
            for key in SettingKey.all {
                let flag = String(key.flag.dropFirst(2))
                let values =
                    key.choices.isEmpty
                    ? directories.contains(key.name) ? "-rF" : "-x"
                    : "-xa '\(key.choices.joined(separator: " "))'"
                let text = key.reason.escaping("\\", "'")
                lines.append("complete -c \(program) \(condition) -l \(flag) -d '\(text)' \(values)")
            }
        }
        return script + "\n" + lines.joined(separator: "\n") + "\n"
    }

    private static func zshText(_ text: String) -> String {
        text.escaping("\\", "[", "]", ":").split(separator: "'", omittingEmptySubsequences: false)
            .joined(separator: "'\\''")
    }

    /// Replaces lines inside the functions of the commands that take settings.
    ///
    /// - Parameter replace: lines in place of one; nil to leave it.
    private static func edit(
        _ script: String, functions name: (String) -> String, _ replace: (String, String) -> [String]?
    ) -> String {
        var current: String?
        var result: [String] = []
        for line in script.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if let command = commands.first(where: { line == name($0) }) {
                current = command
            } else if line == "}" {
                current = nil
            }
            if let current, let lines = replace(line, current) {
                result += lines
            } else {
                result.append(line)
            }
        }
        return result.joined(separator: "\n")
    }
}

extension String {
    fileprivate var trimmedStart: Substring { drop { $0 == " " } }

    /// With a backslash before each of some characters.
    fileprivate func escaping(_ characters: Character...) -> String {
        String(flatMap { characters.contains($0) ? ["\\", $0] : [$0] })
    }

    /// Puts lines behind a line of bash functions of some commands.
    fileprivate func replacing(
        line: String, in commands: [String], with lines: (String) -> [String]
    ) -> String {
        var isInside = false
        var result: [String] = []
        for current in split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if current.hasSuffix("() {") {
                isInside = commands.contains { current == "_durable-streams_\($0)() {" }
            }
            result.append(current)
            if isInside, current == line { result += lines("    ") }
        }
        return result.joined(separator: "\n")
    }
}
