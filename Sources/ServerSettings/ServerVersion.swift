/// The version of all programs.
public enum ServerVersion {
    /// As semver.org has it, without a `v`.
    public static let current = "0.1.0"
}
