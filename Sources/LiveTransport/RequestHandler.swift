import NIOCore
import NIOHTTP1
import StreamProtocol
import StreamService
import Telemetry

/// Serves the requests of one connection from nginx, one after the other. An event stream takes the
/// connection over for the rest of its life.
final class RequestHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = ByteBuffer

    private let hub: LiveHub
    private let decoder: ByteToMessageHandler<HTTPRequestDecoder>
    private var head: HTTPRequestHead?
    private var waiter: PollWaiter?
    private var isBusy = false
    private let trace = RequestTrace()
    private var path = ""
    /// When the long-poll in hand began to wait; 0: not at all.
    private var waitingSince: Int64 = 0

    /// Made when there is something to send.
    private var socket: DirectSocket?

    init(hub: LiveHub, decoder: ByteToMessageHandler<HTTPRequestDecoder>) {
        self.hub = hub
        self.decoder = decoder
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            // nginx sends one request at a time on a connection.
            if isBusy { return context.close(promise: nil) }
            self.head = head
            isBusy = true
            trace.begin()
        case .body: break
        case .end:
            guard let head else { return }
            self.head = nil
            serve(head, context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if let waiter { hub.remove(waiter) }
        waiter = nil
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // nginx passes on what the parser takes for no HTTP, such as control characters in a header.
        if error is HTTPParserError, !isBusy { respond(ServiceResponse(.malformed), context) }
        context.close(promise: nil)
    }

    private func serve(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let channel = context.channel
        var request = RequestHandler.request(head)
        if let key = hub.options.adminKey, let sent = head.headers.first(name: "DS-Admin"),
            key.matches(sent.utf8), let own = request.withAdministratorsRights
        {
            request = own
        }
        request.trace = trace
        path = request.target.path
        if let id = head.headers[canonicalForm: "x-request-id"].first { trace.setID(String(id)) }
        trace.operation = request.liveOperation
        hub.open(request) { [self] result in
            guard channel.isActive, let context = try? channel.pipeline.syncOperations.context(handler: self)
            else { return }
            switch result {
            case .success(.answer(let response)): respond(response, context)
            case .success(.poll(let poll)): wait(poll, context)
            case .success(.events(let response, let stream)): follow(stream, response, context)
            case .failure: respond(ServiceResponse(.unavailable), context)
            }
        }
    }

    private func wait(_ poll: LongPoll, _ context: ChannelHandlerContext) {
        let channel = context.channel
        let waiter = PollWaiter(poll) { [self] response in
            self.waiter = nil
            guard let context = try? channel.pipeline.syncOperations.context(handler: self) else { return }
            respond(response, context)
        }
        self.waiter = waiter
        waitingSince = MonotonicNanoseconds.now
        hub.add(waiter)
    }

    private func respond(_ response: ServiceResponse, _ context: ChannelHandlerContext) {
        isBusy = false
        if waitingSince > 0 { trace.waited = MonotonicNanoseconds.now - waitingSince }
        waitingSince = 0
        let response = hub.requestWatch.timed(response, trace)
        var buffer = RequestHandler.statusLine(response, in: context.channel.allocator)
        if response.hasBody, response.sendsLength {
            buffer.writeString("Content-Length: \(response.body.count)\r\n")
        }
        let isLast = hub.leaving != nil
        if isLast { buffer.writeStaticString("Connection: close\r\n") }
        buffer.writeStaticString("\r\n")
        buffer.writeBytes(response.body)
        let channel = context.channel
        if isLast {
            context.writeAndFlush(wrapOutboundOut(buffer)).whenComplete { _ in channel.close(promise: nil) }
        } else {
            directSocket(of: channel).send(buffer)
        }
        finish(response)
        hub.telemetry.add(.readBytesLive, response.status == 200 ? response.body.count : 0)
    }

    private func directSocket(of channel: any Channel) -> DirectSocket {
        if let socket { return socket }
        let socket = DirectSocket(channel)
        self.socket = socket
        return socket
    }

    /// The time of a long-poll includes its wait; of an event stream it is that to the head of the answer.
    private func finish(_ response: ServiceResponse) {
        trace.mark(.sent)
        hub.telemetry.request(trace.operation, status: response.status, nanoseconds: trace.nanoseconds)
        hub.requestWatch.look(
            at: trace, status: response.status, path: path, bytesIn: 0, bytesOut: response.body.count)
    }

    /// Sends the head of an event stream, takes the HTTP handlers out (half of what an idle reader
    /// costs), and hands the connection to the hub.
    private func follow(_ stream: EventStream, _ response: ServiceResponse, _ context: ChannelHandlerContext)
    {
        let response = hub.requestWatch.timed(response, trace)
        var buffer = RequestHandler.statusLine(response, in: context.channel.allocator)
        // The end of the connection is the end of the events; nginx frames them for the client.
        buffer.writeStaticString("Connection: close\r\n\r\n")
        let channel = context.channel
        let socket = directSocket(of: channel)
        socket.send(buffer)
        finish(response)
        let hub = hub
        let now = NIODeadline.now()
        let jitter = TimeAmount.nanoseconds(
            Int64.random(in: 0...max(0, hub.options.maximumJitter.nanoseconds)))
        let subscriber = EventSubscriber(
            stream, socket: socket, requestID: trace.id, now: now,
            endsAt: hub.end(hub.end(of: hub.options.eventLifetime + jitter), atMost: stream.lease))
        let pipeline = channel.pipeline.syncOperations
        pipeline.removeHandler(decoder).assumeIsolated().whenComplete { [self] _ in
            pipeline.removeHandler(context: context).assumeIsolated().whenComplete { [self] _ in
                _ = self
                do {
                    guard channel.isActive else { return }
                    try pipeline.addHandler(EventHandler(subscriber, hub: hub))
                    hub.add(subscriber)
                } catch {
                    channel.close(promise: nil)
                }
            }
        }
    }

    private static func request(_ head: HTTPRequestHead) -> ServiceRequest {
        var headers = RequestHeaders()
        for field in [HeaderField.authorization, .ifNoneMatch, .origin] {
            for value in head.headers[field.name] { headers.add(field, value) }
        }
        let lengths = head.headers.map { $0.name.utf8.count + $0.value.utf8.count }
        let isTooLarge =
            head.headers.contains { $0.value.utf8.count > ServiceRequest.maximumHeader }
            || lengths.reduce(0, +) > ServiceRequest.maximumHeaders
        return ServiceRequest(
            method: head.method == .GET ? .get : .other, target: RequestTarget(raw: head.uri),
            headers: headers, rejection: isTooLarge ? .headersTooLarge : nil)
    }

    private static func statusLine(_ response: ServiceResponse, in allocator: ByteBufferAllocator)
        -> ByteBuffer
    {
        var buffer = allocator.buffer(capacity: response.head.count + response.body.count + 64)
        let status = HTTPResponseStatus(statusCode: response.status)
        buffer.writeString("HTTP/1.1 \(status.code) \(status.reasonPhrase)\r\n")
        buffer.writeBytes(response.head)
        buffer.writeStaticString(response.exposureLine)
        return buffer
    }
}

/// What is left on the connection of an event stream: it tells the hub when the socket has drained and
/// when it is closed. What the peer sends is of no interest.
final class EventHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let subscriber: EventSubscriber
    private let hub: LiveHub

    init(_ subscriber: EventSubscriber, hub: LiveHub) {
        self.subscriber = subscriber
        self.hub = hub
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { hub.drained(subscriber) }
    }

    func channelInactive(context: ChannelHandlerContext) { hub.remove(subscriber) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
