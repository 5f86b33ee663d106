import StreamStore
import TestStore
import Testing

/// Which limits hold, and what is kept in the log of them.
@Suite struct RetentionTests {
    @Test(
        arguments: [
            // Own number, the server's, what is shown, what holds.
            (nil, nil, nil, nil), (nil, 0, nil, nil), (nil, 7, 7, 7), (0, 7, 0, nil), (0, nil, 0, nil),
            (5, 7, 5, 5),
            (5, 0, 5, 5),
        ] as [(Int64?, Int64?, Int64?, Int64?)])
    func ownNumbersComeBeforeTheServers(own: Int64?, other: Int64?, shown: Int64?, limit: Int64?) {
        let all: [(Int64?) -> Retention] = [
            { Retention(age: $0) }, { Retention(bytes: $0) }, { Retention(messages: $0) },
        ]
        for make in all {
            #expect(make(own).shown(beside: make(other)) == make(shown))
            #expect(make(own).limits(beside: make(other)) == make(limit))
            // Each number by itself.
            #expect(make(own).limits(beside: make(other)).isEmpty == (limit == nil))
        }
    }

    @Test func aRepeatedCreationAsksForTheSame() throws {
        let folder = try TemporaryFolder()
        func create(_ retention: Retention) -> CreateRequest {
            var request = CreateRequest.make("s")
            request.retention = retention
            return request
        }
        let own = Retention(age: 0, bytes: 5, messages: nil)
        // Also after it was written down.
        for _ in 0..<2 {
            let store = try TestStore(folder)
            defer { store.committer.stop() }
            _ = try store.create(create(own))
            guard case .matches(let state, _) = try store.create(create(own)) else { throw Unexpected(own) }
            #expect(state.retention == own)
            #expect(state.earliest == 0)
            for other in [
                Retention(), Retention(bytes: 5), Retention(age: 0, bytes: 6), Retention(age: 1, bytes: 5),
            ] {
                guard case .conflict = try store.create(create(other)) else { throw Unexpected(other) }
            }
        }
    }
}
