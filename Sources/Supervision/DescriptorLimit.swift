import Glibc

/// The limit of open files, which bounds how many readers nginx and the live process can hold.
enum DescriptorLimit {
    /// Raises the soft limit to the hard one; children inherit it. Where that fails the old limit stays.
    static func raise() {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(resource, &limit)
    }
}
