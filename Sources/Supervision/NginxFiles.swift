import Glibc
import ServerSettings

/// nginx's files of a reload, written beside a running nginx, which reads them only when it is told to.
struct NginxFiles {
    private let directory: String
    /// What the changed files held before; nil: there was none.
    private let previous: [(name: String, content: [UInt8]?)]

    /// Writes those that differ from what is there, and removes those that must not be. They are put back when writing
    /// fails.
    init(
        _ files: [(name: String, content: [UInt8])], without obsolete: [String], in directory: String
    ) throws(SupervisionError) {
        self.directory = directory
        let current = files.map { ($0.name, try? SmallFile.read("\(directory)/\($0.name)")) }
        let changed = zip(files, current).filter { $0.content != $1.1 }
        let removed = obsolete.compactMap { name in
            (try? SmallFile.read("\(directory)/\(name)")).map { (name, Optional($0)) }
        }
        previous = changed.map { ($0.1.0, $0.1.1) } + removed
        do throws(SupervisionError) {
            for (file, _) in changed {
                try NginxTemplates.write(file.content, to: "\(directory)/\(file.name)")
            }
        } catch {
            putBack()
            throw error
        }
        for (name, _) in removed { unlink("\(directory)/\(name)") }
    }

    /// Whether nginx would read anything new.
    var isChanged: Bool { !previous.isEmpty }

    /// Undoes the change; what can't be written is of no more use than a message.
    func putBack() {
        for (name, content) in previous {
            let path = "\(directory)/\(name)"
            guard let content else {
                unlink(path)
                continue
            }
            do throws(SupervisionError) {
                try NginxTemplates.write(content, to: path)
            } catch {
                Console.error("\(error); nginx goes on with what it has read")
            }
        }
    }
}
