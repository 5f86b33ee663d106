import ServerSettings

/// The manual page durable-streams(1) in the language of man(7), from the description of the commands and the table of
/// settings.
struct ManualPage {
    /// Of the last change of what is not made from tables.
    private static let date = "2026-11-26"

    private let root: JSONTree

    /// - Parameter description: what `--experimental-dump-help` prints; nil when it is not understood.
    init?(_ description: String) {
        guard let tree = JSONTree(description), let command = tree["command"],
            command["commandName"]?.text != nil
        else { return nil }
        root = command
    }

    /// The page.
    var text: String {
        let version = DurableStreams.configuration.version
        var lines = [
            ".\\\" Made by `durable-streams man`; do not edit.",
            ".TH DURABLE\\-STREAMS 1 \"\(ManualPage.date)\" \"\(version)\" \"User Commands\"",
            ".SH NAME", "durable\\-streams \\- server and command line for durable streams over HTTP",
            ".SH SYNOPSIS", ".B durable\\-streams", "\\fIcommand\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]",
            ".SH DESCRIPTION", Roff.text(root["abstract"]?.text ?? ""),
            "Streams are append-only logs, one URL each, that readers can read again from any position and follow live.",
            ".B serve", "runs a server; other commands work on its data directory, or are its clients.",
            ".SH COMMANDS",
        ]
        for command in commands { lines += section(command) }
        lines += settings + ManualPage.ending
        return lines.joined(separator: "\n") + "\n"
    }

    private var commands: [JSONTree] {
        (root["subcommands"]?.elements ?? []).filter {
            $0["shouldDisplay"]?.isTrue == true && $0["commandName"]?.text != "help"
        }
    }

    private func section(_ command: JSONTree) -> [String] {
        let name = command["commandName"]?.text ?? ""
        let arguments = (command["arguments"]?.elements ?? []).filter { argument in
            let known = argument["preferredName"]?["name"]?.text
            return argument["shouldDisplay"]?.isTrue == true && known != "help" && known != "version"
        }
        var lines = [".SS \(Roff.text(name))", ".B durable\\-streams \(Roff.text(name))"]
        lines += arguments.map { usage($0) }
        lines += [".PP", Roff.text(command["abstract"]?.text ?? "")]
        // Those of settings have a section of their own.
        let takesSettings = SettingCompletions.commands.contains(name)
        if !(takesSettings && name != "check-config"), let discussion = command["discussion"]?.text {
            for paragraph in discussion.split(separator: "\n") where !paragraph.isEmpty {
                lines += [".PP", Roff.text(String(paragraph))]
            }
        }
        for argument in arguments {
            lines += [".TP", heading(argument), Roff.text(explanation(argument))]
        }
        return lines
    }

    private func names(_ argument: JSONTree) -> [String] {
        (argument["names"]?.elements ?? []).compactMap { name in
            name["name"]?.text.map { $0.count == 1 ? "-\($0)" : "--\($0)" }
        }
    }

    private func value(_ argument: JSONTree) -> String {
        "\\fI" + Roff.text(argument["valueName"]?.text ?? "value") + "\\fR"
    }

    private func usage(_ argument: JSONTree) -> String {
        var text: String
        switch argument["kind"]?.text {
        case "positional": text = value(argument)
        case "option":
            text = "\\fB" + Roff.text(preferred(argument)) + "\\fR " + value(argument)
        default: text = "\\fB" + Roff.text(preferred(argument)) + "\\fR"
        }
        if argument["isRepeating"]?.isTrue == true { text += " ..." }
        return argument["isOptional"]?.isTrue == true ? "[\(text)]" : text
    }

    private func preferred(_ argument: JSONTree) -> String {
        let name = argument["preferredName"]?["name"]?.text ?? ""
        return name.count == 1 ? "-\(name)" : "--\(name)"
    }

    private func heading(_ argument: JSONTree) -> String {
        if argument["kind"]?.text == "positional" { return value(argument) }
        let all = names(argument).map { "\\fB\(Roff.text($0))\\fR" }.joined(separator: ", ")
        return argument["kind"]?.text == "option" ? "\(all) \(value(argument))" : all
    }

    private func explanation(_ argument: JSONTree) -> String {
        var text = argument["abstract"]?.text ?? ""
        if let value = argument["defaultValue"]?.text, !value.isEmpty { text += " Default: \(value)." }
        return text.isEmpty ? "See above." : text
    }

    private var settings: [String] {
        var lines = [
            ".SH SETTINGS",
            Roff.text(
                "serve, nginx-config and check-config take settings from flags, else from DS_* variables, else from a YAML "
                    + "file (\(SettingKey.configFlag) PATH or \(SettingKey.configEnvironmentName)), else from the "
                    + "defaults. An unknown name or a value that is not accepted stops the start."),
        ]
        for key in SettingKey.all {
            let value = key.defaultText.isEmpty ? "none" : key.defaultText
            lines += [
                ".TP", "\\fB\(Roff.text(key.flag))\\fR, \\fB\(Roff.text(key.environmentName))\\fR",
                Roff.text("\(key.notes) (\(key.unitAndRange); default: \(value))"),
            ]
        }
        return lines
    }

    /// What no table says.
    private static let ending: [String] = {
        let statuses: [(String, String)] = [
            ("0", "All is well."),
            (
                "1",
                "The server refused it: status, code and message are on standard error. Of backup, restore, verify: "
                    + "something is damaged. Of check-token: the token is not valid."
            ),
            ("64", "Wrong arguments."), ("65", "The input, or a file given, is not what it should be."),
            ("66", "A file or directory is missing."), ("68", "The server's name has no address."),
            ("69", "Nobody answers at the server's address; of serve: something it needs is missing."),
            ("71", "The system refused something."), ("73", "A file can't be written."),
            ("74", "Reading or writing failed."),
            (
                "75",
                "A connection was lost or took too long; of serve: another server has the data directory."
            ),
            ("76", "TLS failed, or what answers does not speak the protocol."),
            ("77", "No permission."), ("78", "The settings are wrong."),
            (">128", "A signal ended it, such as 130 for Ctrl-C."),
        ]
        let variables = [
            ("DS_URL", "The server that inspect, create, append, read, close and delete ask."),
            ("DS_TOKEN", "The token that they send."),
            ("DS_CONFIG", "The settings file."),
            ("DS_*", "Each setting: see SETTINGS."),
            ("http_proxy, https_proxy, no_proxy", "Proxies, as for curl(1)."),
        ]
        var lines = [".SH EXIT STATUS", "Those from 64 on are of <sysexits.h>."]
        for (status, text) in statuses { lines += [".TP", "\\fB\(status)\\fR", Roff.text(text)] }
        lines.append(".SH ENVIRONMENT")
        for (name, text) in variables { lines += [".TP", "\\fB\(Roff.text(name))\\fR", Roff.text(text)] }
        return lines + [".SH SEE ALSO", ".BR curl (1),", ".BR nginx (8)"]
    }()
}

/// Text for roff: what would be read as a command is kept from it.
enum Roff {
    /// One line.
    static func text(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "\\": result += "\\e"
            case "-": result += "\\-"
            case "`": result += "\\(ga"
            case "'": result += "\\(aq"
            case "^": result += "\\(ha"
            case "~": result += "\\(ti"
            case "…": result += "..."
            case "\n": result += " "
            default: result.append(character)
            }
        }
        return result.hasPrefix(".") ? "\\&" + result : result
    }
}
