"""Random operations on a server and on the model, compared: every status, header and byte, and the rows of the store."""

from __future__ import annotations

import copy
import math
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone

from checks import check_error, check_fixed, protocol_headers
from client import NINES, Client, unique, url
from hooks import Hooks
from model import ZERO, Expected, Request, Stream, World
from test_deletion import ask_store, wait_until
from wire import ConnectionClosed, Response

TYPES = ["text/plain", "application/json", "application/octet-stream"]
JSON_BODIES = [b"1", b'"x"', b"[1,2]", b"[[1],2]", b'{"a":[1,2]}', b"[null,true]", b"[]", b"{", b"[1,]"]
BYTE_BODIES = [b"a", b"hello", b"\x00\xff", b"line\r\n", b"[1,2]"]


TTLS = ["300", "400", "1000", "5000", "6000"]
# Streams whose end is closer than this many seconds, or is not certainly past, are left alone.
MARGIN = 15.0
LOST = {502, 503, 504}
POINTS = [
    "create.submitted", "create.committed", "fork.resolved", "fork.inserted", "fork.counted", "delete.soft", "delete.committed",
    "cascade.removed", "cascade.released", "sweep.ended", "purge.records", "purge.finished", "purge.committed",
]  # fmt: skip


class Run:
    """One seeded sequence; keeps a log so that a failure shows how it came about.

    With hooks, on a stack of its own, time is moved too. The server looks for expired streams every `interval` seconds:
    with less than a second all is swept before the next step, else whoever looks ends them. With `kills` the server is
    killed at random points.
    """

    def __init__(self, client: Client, seed: int, hooks: Hooks | None = None, interval: float = 0, kills: bool = False):
        self.client, self.random, self.log = client, random.Random(seed), []
        self.hooks, self.interval, self.kills = hooks, interval, kills
        self.sweeps = interval < 1
        # The server's next look at everything is between these two.
        self.next_sweep: tuple[float, float] | None = None
        self.point: str | None = None
        self.fired: list[str] = []
        self.uncertain = False
        self.names = [unique(f"model-{seed}") for _ in range(7)]
        self.world = World()
        self.etags: dict[str, str] = {}
        self.old_tokens: list[str] = []
        self.counter = 0

    def step(self) -> None:
        if self.hooks:
            if self.random.random() < 0.06:
                self.advance()
            self.avoid_doubt()
            if self.kills and self.random.random() < 0.1:
                self.arm()
        choose = self.random.choices(
            [self.put, self.post, self.get, self.bad_get, self.head, self.delete], weights=[24, 40, 30, 4, 8, 5]
        )[0]
        choose(self.random.choice([*self.names, *self.world.streams]))
        self.settle()

    # Time

    def now(self) -> float:
        return self.hooks.now() if self.hooks else time.time()

    def ends(self) -> list[Stream]:
        """The streams that end by time and have not ended yet."""
        return [stream for stream in self.world.streams.values() if stream.latest < math.inf and not stream.gone]

    def advance(self) -> None:
        """By seconds to days, or to just before or behind the end of a stream."""
        pick, now, ends = self.random, self.now(), sorted(self.ends(), key=lambda stream: stream.latest)
        ways = {
            pick.uniform(1, 300): 4,
            pick.uniform(300, 7000): 3,
            pick.uniform(1, 9) * 86_400: 1 if self.sweeps else 0,
            **{stream.earliest - now - MARGIN - pick.uniform(1, 20): 4 for stream in ends},
            # Mostly behind the first ends: what comes later lives on.
            **{stream.latest - now + pick.uniform(0.1, 5): 6 / (n + 1) for n, stream in enumerate(ends)},
        }
        ways = {seconds: weight for seconds, weight in ways.items() if seconds > 0}
        self.move(pick.choices([*ways], [*ways.values()])[0])

    def avoid_doubt(self) -> None:
        """Go on until no stream is close to its end, or between its exact deadline and the stored one."""
        while doubtful := [s.latest for s in self.ends() if s.earliest - MARGIN < self.now() < s.latest]:
            self.move(max(doubtful) - self.now() + 0.1)
        if not self.sweeps and not self.next_sweep:
            # After the start it has looked or is about to: only behind the second time it is known when.
            self.next_sweep = (0, self.now() + self.interval)
            self.move(0)
            self.next_sweep = (0, self.next_sweep[1])
        if not self.sweeps and self.now() > self.next_sweep[0] - MARGIN:
            self.move(0)

    def move(self, seconds: float) -> None:
        assert self.hooks
        self.settle()
        then = self.now() + seconds
        sweeps = self.next_sweep and then > self.next_sweep[0] - MARGIN
        if sweeps:
            then = max(then, self.next_sweep[1] + 1)
            # Its vanishing shows that the server has looked.
            self.client.create(f"{self.names[0]}-expired", "text/plain", Stream_TTL="0")
        while doubtful := [s.latest for s in self.ends() if s.earliest - MARGIN < then < s.latest]:
            then = max(doubtful) + 0.1
        self.log.append(f"the clock goes on by {then - self.now():.3f} s")
        self.hooks.advance(then - self.now())
        if sweeps or self.sweeps:
            self.settle(swept=True)
        if sweeps:
            # The purge has its turn behind the sweep, whose end decides when the next one is due.
            wait_until(self.client.stack, lambda: ask_store(self.client.stack, "SELECT count(*) FROM purge WHERE stream > 0") == [0], "the purge is done")
            self.next_sweep = (then + self.interval, self.now() + self.interval)

    def settle(self, swept: bool = False) -> None:
        """Wait until the store holds what the model does: streams, counts, and deadlines neither early nor too late."""
        if not self.hooks:
            return
        if swept or self.sweeps:
            self.world.moment = (self.now(), self.now())
            self.world.sweep()
        deadline = time.monotonic() + 20
        while (difference := self.difference()) and time.monotonic() < deadline:
            time.sleep(0.005)
        history = "\n".join(self.log[-400:])
        assert not difference, f"\n{history}\nthe store differs: {difference}"
        self.uncertain = False
        for stream in self.ends():
            stream.floor = stream.earliest

    def difference(self) -> dict[str, object]:
        with closing(sqlite3.connect(f"file:{self.client.stack.data_dir}/hot.sqlite?mode=ro", uri=True, timeout=5)) as store:
            rows = store.execute("SELECT name, forks, soft_deleted, closed, deadline FROM stream").fetchall()
        stored = {name.partition("/")[2]: tuple(rest) for name, *rest in rows}
        found: dict[str, object] = {}
        for name in stored.keys() | self.world.streams.keys():
            stream, row = self.world.streams.get(name), stored.get(name)
            if not stream or not row or row[:3] != (stream.forks, stream.gone, stream.closed):
                found[name] = (row, stream and (stream.forks, stream.gone, stream.closed))
            elif stream.latest == math.inf or stream.gone:
                if row[3] is not None and stream.latest == math.inf:
                    found[name] = row
            else:
                if self.has_fired():
                    # A touch that nobody waited for may be lost.
                    stream.earliest = min(stream.earliest, max(stream.floor, row[3] / 1000))
                if not stream.earliest - 0.002 <= row[3] / 1000 <= stream.latest + 0.002:
                    found[name] = (row, stream.earliest, stream.latest)
        return found

    # Kills

    def arm(self) -> None:
        assert self.hooks
        if self.point:
            self.has_fired()
            self.hooks.disarm(self.point)
        self.point = self.random.choice(POINTS)
        self.hooks.arm(self.point, passes=self.random.choice([1, 1, 2, 3]))

    def has_fired(self) -> bool:
        """Whether a point has ended the server since the last look at the store."""
        if self.point and self.hooks and not self.hooks.armed(self.point):
            self.log.append(f"killed at {self.point}")
            self.fired.append(self.point)
            self.point = None
            self.uncertain = True
        return self.uncertain

    def ask(self, method: str, name: str, request: object, send: Callable[[], Response], judge: Callable[[World, Response], Expected]) -> None:
        """Send a request, and compare; if the answer is lost, find out what became of it."""
        before = copy.deepcopy(self.world) if self.kills else self.world
        then = self.now()
        try:
            answer = send()
        except ConnectionClosed:
            assert self.kills
            answer = Response(502, [])
        self.world.moment = (then, self.now())
        expected = judge(self.world, answer)
        if self.kills and answer.status in LOST:
            self.find_out(f"{method} {name} {request}", before)
        else:
            self.check(method, name, request, answer, expected)

    def find_out(self, what: str, before: World) -> None:
        """It happened wholly or not at all: HEAD on all names tells which."""
        self.log.append(f"{what} -> lost")
        after, then = self.world, self.now()
        heads = {name: self.again(lambda name=name: self.client.head(name)) for name in self.names}
        moment = (then, self.now())
        # Looking has ended what had expired, in both.
        possible = []
        for world in (after, before):
            world.moment = moment
            fits = True
            for name, head in heads.items():
                expected = world.head(name)
                if (stream := world.streams.get(name)) and not stream.incarnation:
                    stream.incarnation = (head.get("Stream-Next-Offset") or "").split("_")[0]
                    expected = world.head(name)
                fits &= head.status == expected.status and (head.status != 200 or protocol_headers(head) == expected.headers)
            if fits:
                possible.append(world)
        history = "\n".join(self.log[-400:])
        assert possible, f"\n{history}\nneither before nor after: {[(name, head.describe()) for name, head in heads.items()]}"
        self.world = possible[0]
        for name, stream in self.world.streams.items():
            other = (before if self.world is after else after).streams.get(name)
            if other and other.incarnation == stream.incarnation and other.fork == stream.fork:
                stream.earliest, stream.latest = min(stream.earliest, other.earliest), max(stream.latest, other.latest)
                stream.floor = min(stream.floor, other.floor)
        self.log.append("it happened" if self.world is after else "it did not happen")

    def again(self, send: Callable[[], Response]) -> Response:
        deadline = time.monotonic() + 20
        while True:
            try:
                if (answer := send()).status not in LOST:
                    return answer
            except ConnectionClosed:
                pass
            assert time.monotonic() < deadline, self.client.stack.log_tail()
            time.sleep(0.01)

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
        places += [pick.choice([ZERO, NINES, "", source.token(len(source.units) + 1) if source else ZERO, *self.old_tokens[-3:]])]
        request.fork_offset = pick.choice([None, None, None, *places])
        request.sub_offset = pick.choice([None, None, None, None, "0", "1", "1", "2", "3", "5"])
        if pick.random() < 0.03:
            request.fork_offset, request.sub_offset, request.source = pick.choice(
                [("now", None, request.source), (None, "", request.source), (None, "01", request.source), (ZERO, None, None), (None, "0", None)]
            )

    def ask_again(self, request: Request, stream: Stream) -> None:
        """What the stream was created with, sometimes with the defaults left out or one thing changed."""
        pick = self.random
        request.closing, request.ttl, request.type = stream.closed, stream.ttl, stream.type
        request.expires = self.spell(stream.latest) if stream.expires else None
        request.source, request.fork_offset, request.sub_offset = None, None, None
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

    def get(self, name: str) -> None:
        pick, stream = self.random, self.readable(name)
        offsets: list[str | None] = [None, "-1", "now", ZERO]
        if stream:
            offsets += [stream.token(pick.randrange(len(stream.units) + 1)) for _ in range(3)] + [stream.tail, stream.token(len(stream.units) + 3)]
        if self.old_tokens:
            offsets.append(pick.choice(self.old_tokens))
        offset = pick.choice(offsets)
        live = False
        if stream and offset is not None and pick.random() < 0.3:
            # Only long-polls that are answered at once.
            place = {"-1": 0, ZERO: 0, "now": len(stream.units)}.get(offset, int(offset[17:]) if "_" in offset else 0)
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
        for name in self.names:
            self.get(name)
        for _ in range(len(self.names)):
            for name in self.random.sample(self.names, len(self.names)):
                self.delete(name)
        assert not self.world.streams
        self.settle()

    # Comparison

    def headers(self, request: Request) -> dict[str, str]:
        found = {"Stream_Closed": "true"} if request.closing else {}
        if request.producer:
            id, epoch, seq = request.producer
            found |= {"Producer_Id": id, "Producer_Epoch": str(epoch), "Producer_Seq": str(seq)}
        given = {"Stream_Seq": request.seq, "Stream_TTL": request.ttl, "Stream_Expires_At": request.expires, "Stream_Fork_Offset": request.fork_offset,
                 "Stream_Fork_Sub_Offset": request.sub_offset, "Stream_Forked_From": request.source and url(request.source)}  # fmt: skip
        return found | {key: value for key, value in given.items() if value is not None}

    def explain(self, method: str, name: str, request: object, answer: Response, expected: Expected) -> str:
        history = "\n".join(line for line in self.log[-400:])
        return f"\n{history}\n{method} {name} {request}\nexpected {expected}\ngot {answer.describe()}"

    def check(self, method: str, name: str, request: object, answer: Response, expected: Expected) -> None:
        self.log.append(f"{method} {name} {request} -> {answer.status} {answer.get('Stream-Next-Offset')}")
        try:
            assert answer.status == expected.status
            if answer.status >= 400 and method != "HEAD":
                headers = {key.replace("-", "_"): value for key, value in expected.headers.items()}
                check_error(answer, expected.status, expected.code, **headers)
                return
            check_fixed(answer)
            found = protocol_headers(answer)
            if expected.headers.get("stream-cursor") == "*":
                assert found.pop("stream-cursor").isdigit()
                del expected.headers["stream-cursor"]
            assert found == expected.headers
            if expected.type is not None:
                assert answer.get("Content-Type") == expected.type
            if expected.cache is not None:
                assert answer.get("Cache-Control") in expected.cache
            if expected.body is not None:
                assert answer.body == expected.body
        except AssertionError as error:
            raise AssertionError(f"{error}{self.explain(method, name, request, answer, expected)}") from None
