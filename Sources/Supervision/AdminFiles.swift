import CCrypto
import Glibc
import ServerSettings

/// What the admin route needs on the disk: the key that only nginx's protected locations send, the operator's password with
/// its hash for nginx, and the files of the page.
enum AdminFiles {
    /// The only user.
    static let user = "admin"

    /// Makes what is missing, and brings what is derived up to date; files that are as they should be stay untouched, so
    /// that a server can be started on a full disk.
    ///
    /// - Parameters:
    ///   - group: of nginx's workers, which read the hash and the page.
    ///   - templates: the page's files are in its `admin` directory; nil: the page is somebody else's matter.
    /// - Returns: the key: 64 hexadecimal digits.
    static func prepare(
        _ layout: DataDirectoryLayout, group: gid_t?, templates: NginxTemplates?
    ) throws(SupervisionError) -> String {
        let key = try SecretFile.loadOrCreate(
            layout.adminKey, name: "admin key", content: "64 hexadecimal digits in lower case",
            isValid: { $0.count == 64 && $0.allSatisfy(isHexDigit) },
            make: { () throws(SupervisionError) in
                try randomBytes(32).flatMap { [hexDigit($0 >> 4), hexDigit($0 & 0xF)] }
            })
        let password = try SecretFile.loadOrCreate(
            layout.adminPassword, name: "admin password",
            content: "one line of 12 to 256 printable ASCII characters",
            isValid: { (12...256).contains($0.count) && $0.allSatisfy { (0x20...0x7E).contains($0) } },
            make: makePassword)
        try writeHash(of: password, to: layout.adminPasswordHash, group: group)
        if let templates {
            try installPage(from: templates.directory + "/admin", to: layout.adminPage, group: group)
        }
        return String(decoding: key, as: UTF8.self)
    }

    // MARK: Password

    /// 32 of 62 characters: 190 bits, which no fast hash gives away.
    private static func makePassword() throws(SupervisionError) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
        var password: [UInt8] = []
        while password.count < 32 {
            // 248 is the largest multiple of 62: each character is as likely.
            for byte in try randomBytes(64) where byte < 248 && password.count < 32 {
                password.append(alphabet[Int(byte) % alphabet.count])
            }
        }
        return password
    }

    private static let saltLength = 16
    private static let scheme = Array("\(user):{SSHA}".utf8)

    /// nginx asks for the password with each request, so the hash has to be a fast one; it is salted, and of a password
    /// that nobody can guess.
    private static func writeHash(
        of password: [UInt8], to path: String, group: gid_t?
    ) throws(SupervisionError) {
        if let (status, bytes) = try? SecretFile.read(path), status.st_mode & 0o7777 == 0o640,
            group == nil || status.st_gid == group, isHash(bytes, of: password)
        {
            return
        }
        let salt = try randomBytes(saltLength)
        let line = scheme + base64(try digest(password + salt) + salt) + [UInt8(ascii: "\n")]
        try SecretFile.replace(path, with: line, mode: 0o640, group: group)
    }

    private static func isHash(_ file: [UInt8], of password: [UInt8]) -> Bool {
        let encoded = Array(file.dropFirst(scheme.count).dropLast())
        // 20 bytes of SHA-1 and the salt: a multiple of three, so without padding.
        var decoded = [UInt8](repeating: 0, count: 20 + saltLength)
        guard file.starts(with: scheme), file.last == UInt8(ascii: "\n"),
            encoded.count == decoded.count / 3 * 4,
            EVP_DecodeBlock(&decoded, encoded, Int32(encoded.count)) == Int32(decoded.count),
            let expected = try? digest(password + decoded[20...])
        else { return false }
        return decoded[..<20] == expected[...]
    }

    private static func digest(_ bytes: [UInt8]) throws(SupervisionError) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 20)
        guard ds_sha1(bytes, bytes.count, &digest) == 1 else {
            throw SupervisionError(
                .system, "libcrypto makes no SHA-1 hash, which nginx's password file needs")
        }
        return digest
    }

    private static func base64(_ bytes: [UInt8]) -> [UInt8] {
        // libcrypto adds a NUL.
        var text = [UInt8](repeating: 0, count: (bytes.count + 2) / 3 * 4 + 1)
        let count = EVP_EncodeBlock(&text, bytes, Int32(bytes.count))
        return Array(text[..<Int(count)])
    }

    private static func randomBytes(_ count: Int) throws(SupervisionError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        guard RAND_bytes(&bytes, Int32(count)) == 1 else {
            throw SupervisionError(.system, "the system gives no random bytes")
        }
        return bytes
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    // MARK: Page

    /// Copies the page's files to where nginx's workers can read them: the templates may lie in somebody's home.
    private static func installPage(
        from source: String, to target: String, group: gid_t?
    ) throws(SupervisionError) {
        try Directories.create(target)
        if let group { try Directories.setGroup(target, group, mode: 0o750) }
        // `nginx-config` works here as the owner of the data directory, whom the templates may be closed to; `serve` brings
        // the page then.
        guard let names = try? Directories.names(in: source) else { return }
        var wanted: Set<String> = []
        for name in names where !name.hasPrefix(".") {
            guard try Directories.status("\(source)/\(name)", followLinks: true).isRegular else { continue }
            wanted.insert(name)
            try copy("\(source)/\(name)", to: "\(target)/\(name)", group: group)
        }
        for name in try Directories.names(in: target) where !wanted.contains(name) {
            unlink("\(target)/\(name)")
        }
    }

    private static func copy(_ source: String, to target: String, group: gid_t?) throws(SupervisionError) {
        let content: [UInt8]
        do throws(SmallFile.Failure) {
            content = try SmallFile.read(source)
        } catch {
            throw .system("reading \(source)", code: error.code)
        }
        if let found = try? Directories.status(target), found.isRegular, found.mode & 0o7777 == 0o640,
            group == nil || found.group == group, (try? SmallFile.read(target)) == content
        {
            return
        }
        try SecretFile.replace(target, with: content, mode: 0o640, group: group)
    }
}
