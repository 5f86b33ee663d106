import ServerSettings
@main struct A { static func main() { print(SettingKey.all.count) } }
