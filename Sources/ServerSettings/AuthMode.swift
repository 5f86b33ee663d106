/// Who decides who may do what.
public enum AuthMode: String, CaseIterable, Sendable {
    /// Nobody: everything is open.
    case none
    /// Tokens (JSON Web Tokens, RFC 7519) signed with a secret of the project.
    case projectJWT = "project-jwt"
    /// An HTTP endpoint of the deployer's, asked by nginx.
    case delegate
}

extension Settings {
    /// What a server must fulfil before it starts.
    ///
    /// - Throws: ``SettingsError`` for an open server that others can reach, and for a delegate without address.
    public func checkAccess() throws(SettingsError) {
        if auth == .none, !allowOpen, !listen.isLoopback {
            throw .contradiction(
                "listen: \(listen) can be reached from elsewhere while DS_AUTH is none: set DS_AUTH to project-jwt or "
                    + "delegate, or DS_ALLOW_OPEN=true if everybody may read and write everything")
        }
        if auth == .delegate, authDelegateURL == nil {
            throw .contradiction(
                "auth_delegate_url: DS_AUTH is delegate and nobody is named to ask: set DS_AUTH_DELEGATE_URL, "
                    + "such as http://127.0.0.1:9000/check")
        }
    }
}
