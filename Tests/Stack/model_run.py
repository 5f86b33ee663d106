"""Random operations on a server and on the model, compared: every status, header and byte, and the rows of the store."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

from client import NINES, url
from model import World
from model_ask import Asking
from model_retention import KINDS, some_limits
from model_stream import ZERO, Expected, Request, Stream
from wire import Response

TYPES = ["text/plain", "application/json", "application/octet-stream"]
JSON_BODIES = [b"1", b'"x"', b"[1,2]", b"[[1],2]", b'{"a":[1,2]}', b"[null,true]", b"[]", b"{", b"[1,]"]
BYTE_BODIES = [b"a", b"hello", b"\x00\xff", b"line\r\n", b"[1,2]"]
TTLS = ["300", "400", "1000", "5000", "6000"]


class Run(Asking):
    """One seeded sequence; keeps a log so that a failure shows how it came about.

    With hooks, on a stack of its own, time is moved too. The server looks for expired streams every `interval` seconds:
    with less than a second all is swept before the next step, else whoever looks ends them. With `kills` the server is
    killed at random points.
    """

    def step(self) -> None:
        if self.hooks:
            if self.random.random() < 0.06:
                self.advance()
            self.avoid_doubt()
            if self.kills and self.random.random() < 0.1:
                self.arm()
        choose = self.random.choices(
            [self.put, self.post, self.get, self.bad_get, self.head, self.delete, self.fill],
            weights=[24, 40, 30, 4, 8, 5, 10 if self.watch else 0],
        )[0]
        choose(self.random.choice([*self.names, *self.world.streams]))
        self.settle()

    # Operations

    def request(self, stream: Stream | None) -> Request:
        pick = self.random
        type = stream.type if stream and pick.random() < 0.9 else pick.choice([*TYPES, None])
        body = pick.choice(JSON_BODIES if type == "application/json" else BYTE_BODIES) if pick.random() < 0.9 else b""
        return Request(type, body)

    def readable(self, name: str) -> Stream | None:
        """Nobody has looked yet: what has expired stays."""
        stream = self.world.streams.get(name)
        now = self.now()
        return stream if stream and not stream.gone and not stream.has_expired((now, now)) else None

    def put(self, name: str) -> None:
        pick = self.random
        free = [other for other in self.names if other not in self.world.streams]
        if free and pick.random() < 0.6:
            name = pick.choice(free)
        stream = self.world.streams.get(name)
        request = self.request(stream)
        request.closing = pick.random() < 0.1
        request.ttl, request.expires = self.lifetime()
        request.retention = some_limits(pick, cuts=self.watch is not None)
        if pick.random() < 0.7:
            self.ask_for_fork(request)
        if stream and pick.random() < 0.7:
            self.ask_again(request, stream)

        def judge(world: World, answer: Response) -> Expected:
            created = world.put(name, request)
            if isinstance(created, Expected):
                return created
            location = f"http://127.0.0.1:{self.client.stack.port}{url(name)}"
            created.incarnation = created.incarnation or (answer.get("Stream-Next-Offset") or "").split("_")[0]
            headers = {"stream-next-offset": created.tail, "location": location}
            if created.closed:
                headers["stream-closed"] = "true"
            return Expected(201, headers, type=created.type)

        self.ask("PUT", name, request, lambda: self.client.put(name, request.type, request.body, **self.headers(request)), judge)

    def lifetime(self) -> tuple[str | None, str | None]:
        """TTL and Expires-At of a PUT, mostly neither, seldom both."""
        pick = self.random
        expires = self.instant(pick.choice([350, 400, 1500, 9000] + [-10, -400] * bool(self.hooks)))
        odd = [("-1", None), ("060", None), (None, "2099-13-01T00:00:00Z"), ("300", expires)]
        ttls = TTLS + ["0"] * bool(self.hooks)
        return pick.choices([(None, None), (pick.choice(ttls), None), (None, expires), pick.choice(odd)], weights=[50, 30, 18, 2])[0]

    def instant(self, seconds: float) -> str:
        """So many seconds from now, spelled in some way."""
        return self.spell(math.floor((self.now() + seconds) * 1000) / 1000)

    def spell(self, time: float) -> str:
        hours = self.random.choice([0, 0, 5, -3])
        when = datetime.fromtimestamp(time, timezone(timedelta(hours=hours)))
        text = when.isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z") if self.random.random() < 0.5 else text

    def ask_for_fork(self, request: Request) -> None:
        """Any stream as source, mostly with a fork point that it has."""
        pick = self.random
        request.source = pick.choice([*self.names, *list(self.world.streams) * 4])
        source = self.world.streams.get(request.source)
        if source and pick.random() < 0.85:
            request.type = pick.choice([None, source.type])
        if pick.random() < 0.4:
            request.ttl = request.expires = None
        places = [source.token(pick.randrange(len(source.units) + 1)) for _ in range(8)] if source else []
        places += [source.token(source.kept.earliest)] * 2 if source else []
        places += [pick.choice([ZERO, NINES, "", source.token(len(source.units) + 1) if source else ZERO, *self.old_tokens[-3:]])]
        request.fork_offset = pick.choice([None, None, None, *places])
        request.sub_offset = pick.choice([None, None, None, None, "0", "1", "1", "2", "3", "5"])
        if pick.random() < 0.03:
            request.fork_offset, request.sub_offset, request.source = pick.choice(
                [("now", None, request.source), (None, "", request.source), (None, "01", request.source), (ZERO, None, None), (None, "0", None)]
            )
        if request.fork_offset == ZERO and source and source.kept.earliest:
            # From where a sub-offset counts is not said then.
            request.sub_offset = None

    def ask_again(self, request: Request, stream: Stream) -> None:
        """What the stream was created with, sometimes with the defaults left out or one thing changed."""
        pick = self.random
        request.closing, request.ttl, request.type = stream.closed, stream.ttl, stream.type
        request.expires = self.spell(stream.latest) if stream.expires else None
        request.source, request.fork_offset, request.sub_offset = None, None, None
        request.retention = {kind: str(number) for kind, number in stream.kept.own.items()}
        if pick.random() < 0.1:
            request.retention[pick.choice(KINDS)] = pick.choice(["0", "1", ""])
        if stream.fork:
            request.source, request.fork_offset, sub = stream.fork
            request.sub_offset = str(sub)
            request.type = pick.choice([None, stream.type])
            if pick.random() < 0.5:
                request.fork_offset = None
            if stream.inherited and pick.random() < 0.5:
                request.ttl = request.expires = None
            if sub == 0 and pick.random() < 0.5:
                request.sub_offset = None
            if pick.random() < 0.15:
                request.sub_offset = "1"
            if pick.random() < 0.1:
                request.source = pick.choice(self.names)

    def post(self, name: str) -> None:
        pick, stream = self.random, self.readable(name)
        request = self.request(self.world.streams.get(name))
        request.closing = pick.random() < 0.06
        if request.closing and pick.random() < 0.5:
            request.body = b""
        if pick.random() < 0.4:
            id = pick.choice("pq")
            epoch, seq = stream.producers.get(id, (0, -1)) if stream else (0, -1)
            request.producer = (id, max(0, epoch + pick.choice([0, 0, 0, 0, 0, 1, -1])), max(0, seq + pick.choice([1, 1, 1, 1, 0, 2, -seq])))
        if stream and stream.closed_by and pick.random() < 0.5:
            request.producer = stream.closed_by
        if pick.random() < 0.3:
            self.counter += pick.choice([1, 1, 1, -2])
            request.seq = f"s{max(0, self.counter):05d}"
        self.ask(
            "POST", name, request, lambda: self.client.post(name, request.type, request.body, **self.headers(request)),
            lambda world, _: world.post(name, request),
        )  # fmt: skip

    def fill(self, name: str) -> None:
        """Some appends in a row to a stream that keeps only so much, so that segments come and go."""
        pick = self.random
        names = [name for name in self.names if (stream := self.readable(name)) and stream.kept.limits and not stream.closed]
        name = pick.choice(names or [name])
        for _ in range(pick.choice([2, 4, 7]) if names else 0):
            stream = self.world.streams[name]
            request = Request(stream.type, pick.choice(JSON_BODIES[:6] if stream.json else BYTE_BODIES))
            self.ask(
                "POST", name, request, lambda: self.client.post(name, request.type, request.body),
                lambda world, _: world.post(name, request),
            )  # fmt: skip
            self.settle()
        if pick.random() < 0.3:
            self.quiet()

    def get(self, name: str) -> None:
        pick, stream = self.random, self.readable(name)
        offsets: list[str | None] = [None, "-1", "now", ZERO]
        if stream:
            offsets += [stream.token(pick.randrange(len(stream.units) + 1)) for _ in range(3)] + [stream.tail, stream.token(len(stream.units) + 3)]
            offsets += [stream.token(max(0, stream.kept.earliest - n)) for n in (0, 1)] if stream.kept.earliest else []
        if self.old_tokens:
            offsets.append(pick.choice(self.old_tokens))
        offset = pick.choice(offsets)
        live = False
        if stream and offset is not None and pick.random() < 0.3:
            # Only long-polls that are answered at once.
            earliest = stream.kept.earliest
            place = {"-1": earliest, ZERO: earliest, "now": len(stream.units)}.get(offset, int(offset[17:]) if "_" in offset else 0)
            live = place != len(stream.units) or stream.closed
        etags = pick.choice([[], [], ["*"], ['"zz"'], [self.last_etag(name)]])
        query = "&".join(part for part in (("live=long-poll" if live else ""), f"offset={offset}" if offset else "") if part)

        def judge(world: World, answer: Response) -> Expected:
            if etag := answer.get("ETag"):
                self.etags[name] = etag
                if found := world.look(name):
                    found.instance = found.instance or etag.strip('"').split(":")[0]
            return world.get(name, offset, etags, live)

        fields = {"If_None_Match": ", ".join(etags)} if etags else {}
        self.ask("GET", name, (query, etags), lambda: self.client.get(name, query, **fields), judge)

    def last_etag(self, name: str) -> str:
        return self.etags.get(name, '"none"')

    def bad_get(self, name: str) -> None:
        query = self.random.choice(["offset=", "offset=0", "offset=-2", "offset=-1&offset=-1", "offset=x&live=sse", "live=sse&offset=now%20"])
        self.ask(
            "GET", name, query, lambda: self.client.get(name, query),
            lambda world, _: world.refusal(name) or Expected(400, code="OFFSET_INVALID"),
        )  # fmt: skip

    def head(self, name: str) -> None:
        self.ask("HEAD", name, None, lambda: self.client.head(name), lambda world, _: world.head(name))

    def delete(self, name: str) -> None:
        if stream := self.readable(name):
            self.old_tokens += [stream.tail, stream.token(0)]
        self.ask("DELETE", name, None, lambda: self.client.delete(name), lambda world, _: world.delete(name))

    def finish(self) -> None:
        """Every stream once more, then everything is deleted: the counts have to come out even."""
        if self.watch:
            self.quiet()
        for name in self.names:
            self.get(name)
        if self.hooks:
            self.let_age()
            for name in self.names:
                self.get(name)
        for _ in range(len(self.names)):
            for name in self.random.sample(self.names, len(self.names)):
                self.delete(name)
        assert not self.world.streams
        self.settle()

    def headers(self, request: Request) -> dict[str, str]:
        found = {"Stream_Closed": "true"} if request.closing else {}
        if request.producer:
            id, epoch, seq = request.producer
            found |= {"Producer_Id": id, "Producer_Epoch": str(epoch), "Producer_Seq": str(seq)}
        given = {"Stream_Seq": request.seq, "Stream_TTL": request.ttl, "Stream_Expires_At": request.expires, "Stream_Fork_Offset": request.fork_offset,
                 "Stream_Fork_Sub_Offset": request.sub_offset, "Stream_Forked_From": request.source and url(request.source)}  # fmt: skip
        given |= {f"Stream_Retention_{kind.title()}": text for kind, text in request.retention.items()}
        return found | {key: value for key, value in given.items() if value is not None}
