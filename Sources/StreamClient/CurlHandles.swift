import CCurl
import Glibc

/// Owns an easy handle of libcurl, and the connections that it keeps.
final class CurlHandle {
    let pointer: UnsafeMutableRawPointer

    /// Once for the process, on first use. libcurl leaves SIGPIPE to whoever uses threads (CURLOPT_NOSIGNAL).
    private static let isReady: Bool = {
        signal(SIGPIPE, SIG_IGN)
        return ds_curl_global_init() == CURLE_OK
    }()

    init() throws(ClientError) {
        guard CurlHandle.isReady, let pointer = curl_easy_init() else {
            throw ClientError(.local, "libcurl can't be initialised")
        }
        self.pointer = pointer
    }

    deinit { curl_easy_cleanup(pointer) }

    func set(_ option: CURLoption, _ value: Int) { _ = ds_curl_set_long(pointer, option, value) }
    func set(_ option: CURLoption, _ value: String) throws(ClientError) {
        guard ds_curl_set_text(pointer, option, value) == CURLE_OK else {
            throw ClientError(.local, "libcurl does not take \(value.debugDescription)")
        }
    }
    func set(_ option: CURLoption, size: Int64) { _ = ds_curl_set_size(pointer, option, Int(size)) }
    func set(_ option: CURLoption, pointer value: UnsafeMutableRawPointer?) {
        _ = ds_curl_set_pointer(pointer, option, value)
    }

    func number(_ info: CURLINFO) -> Int {
        var value = 0
        _ = ds_curl_get_long(pointer, info, &value)
        return value
    }
    /// A time in seconds.
    func seconds(_ info: CURLINFO) -> Double {
        var value: curl_off_t = 0
        _ = ds_curl_get_size(pointer, info, &value)
        return Double(value) / 1e6
    }
    func text(_ info: CURLINFO) -> String {
        var value: UnsafePointer<CChar>?
        guard ds_curl_get_text(pointer, info, &value) == CURLE_OK, let value else { return "" }
        return String(cString: value)
    }

    /// The certificates of the last transfer.
    var certificates: [[HTTPField]] {
        var found: UnsafeMutablePointer<curl_certinfo>?
        guard ds_curl_get_certificates(pointer, &found) == CURLE_OK, let list = found?.pointee else {
            return []
        }
        return (0..<Int(list.num_of_certs)).map { index in
            var fields: [HTTPField] = []
            var entry = list.certinfo[index]
            while let current = entry?.pointee {
                let line = String(cString: current.data)
                let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                if parts.count == 2 { fields.append(HTTPField(String(parts[0]), String(parts[1]))) }
                entry = current.next
            }
            return fields
        }
    }
}

/// Owns a list of texts for libcurl.
final class CurlList {
    private(set) var pointer: UnsafeMutablePointer<curl_slist>?

    init(_ lines: [String]) throws(ClientError) {
        for line in lines {
            guard let longer = curl_slist_append(pointer, line) else {
                curl_slist_free_all(pointer)
                throw ClientError(.local, "out of memory")
            }
            pointer = longer
        }
    }

    deinit { curl_slist_free_all(pointer) }
}
