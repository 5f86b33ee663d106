"""Streams in memory by their names: creation, forks, deletion and expiry, as 3.1, 8.3 and 11.6 have them."""

from __future__ import annotations

from model_stream import Expected, Request, Stream, messages


class World:
    """All streams by name, soft-deleted ones included.

    A stream that has expired is ended by whoever looks at it, or by a sweep: until then its source counts it.
    """

    def __init__(self) -> None:
        self.streams: dict[str, Stream] = {}
        # Between these two, in seconds since 1970, the server judges the present request.
        self.moment = (0.0, 0.0)
        # The server's own limits, for streams that have none of a kind.
        self.defaults: dict[str, int] = {}

    def look(self, name: str | None) -> Stream | None:
        """8.3: the stream of a name, ended if it has expired."""
        stream = self.streams.get(name or "")
        if stream and not stream.gone and stream.has_expired(self.moment):
            self.end(stream)
        return self.streams.get(name or "")

    def sweep(self) -> None:
        for name in list(self.streams):
            self.look(name)

    def end(self, stream: Stream | None) -> None:
        """11.6: removed, or kept for its forks; then whatever waited for that."""
        stream.gone = True
        while stream and stream.forks == 0 and (stream.gone or stream.has_expired(self.moment)):
            self.streams = {key: value for key, value in self.streams.items() if value is not stream}
            stream = stream.source
            if stream:
                stream.forks -= 1

    def refusal(self, name: str) -> Expected | None:
        """What every request but PUT gets on a name without a readable stream."""
        stream = self.look(name)
        if stream is None:
            return Expected(404, code="STREAM_NOT_FOUND")
        return Expected(410) if stream.gone else None

    def put(self, name: str, request: Request) -> Expected | Stream:
        """3.1: the answer, or the stream that was created."""
        if request.malformed:
            return Expected(400)
        if stream := self.look(name):
            return Expected(409) if stream.gone else stream.put_again(request)
        source, position = None, 0
        if request.source is not None:
            source = self.look(request.source)
            if source is None:
                return Expected(404)
            if source.gone or request.type not in (None, source.type):
                return Expected(409)
            point = source.fork_point(request)
            if isinstance(point, Expected):
                return point
            position = point
        json = (request.type or (source.type if source else None)) == "application/json"
        if json and request.body and messages(request.body) is None:
            return Expected(400, code="JSON_INVALID")
        if source:
            source.forks += 1
        self.streams[name] = Stream(request, source, position)
        self.streams[name].kept.defaults = self.defaults
        self.streams[name].begin_life(self.moment)
        return self.streams[name]

    def post(self, name: str, request: Request) -> Expected:
        if refused := self.refusal(name):
            return refused
        stream = self.streams[name]
        expected = stream.post(request)
        if expected.status < 300:
            stream.touch(self.moment)
            stream.kept.note(len(stream.units), self.moment[0])
            # What is answered is stored.
            stream.floor = stream.earliest
        return expected

    def get(self, name: str, offset: str | None, etags: list[str], live: bool) -> Expected:
        if refused := self.refusal(name):
            return refused
        expected = self.streams[name].get(offset, etags, live, self.moment)
        if expected.status < 400:
            self.streams[name].touch(self.moment)
        return expected

    def head(self, name: str) -> Expected:
        if refused := self.refusal(name):
            return Expected(refused.status, body=None, cache={"no-store"})
        return self.streams[name].head()

    def delete(self, name: str) -> Expected:
        """3.7 and 11.6."""
        if refused := self.refusal(name):
            return refused
        self.end(self.streams[name])
        return Expected(204)
