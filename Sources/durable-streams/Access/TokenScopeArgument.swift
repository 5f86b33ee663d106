import ArgumentParser
import StreamAccess

/// A scope by its name, as in the claim `scope` of tokens.
enum TokenScopeArgument: String, CaseIterable, ExpressibleByArgument {
    case read, write, manage

    var scope: TokenScope {
        switch self {
        case .read: .read
        case .write: .write
        case .manage: .manage
        }
    }
}
