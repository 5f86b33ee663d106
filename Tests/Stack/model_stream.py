"""One stream in memory: the decision tables of 3.1, 3.2, 3.4, 8 and 11 in the simplest form that can be right."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import datetime

from model_retention import Kept, numbers

ZERO = "0000000000000000_0000000000000000"


@dataclass
class Expected:
    """What an answer has to be: `headers` are all headers of 4.2 it carries."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = b""
    type: str | None = None
    cache: set[str] | None = None
    code: str | None = None
    # Headers that may be there, but then with this value.
    optional: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    type: str | None = None
    body: bytes = b""
    closing: bool = False
    ttl: str | None = None
    expires: str | None = None
    producer: tuple[str, int, int] | None = None
    seq: str | None = None
    source: str | None = None  # name of the stream to fork
    fork_offset: str | None = None
    sub_offset: str | None = None
    retention: dict[str, str] = field(default_factory=dict)  # as sent: age, bytes, messages

    @property
    def malformed(self) -> bool:
        """3.1 rows 1 to 7."""
        if self.ttl is not None and (self.expires is not None or not re.fullmatch(r"0|[1-9][0-9]*", self.ttl, re.ASCII)):
            return True
        if self.expires is not None and instant_of(self.expires) is None:
            return True
        if self.source is None and (self.sub_offset is not None or self.fork_offset):
            return True
        if self.fork_offset and not re.fullmatch(r"[0-9]{16}_[0-9]{16}", self.fork_offset, re.ASCII):
            return True
        if self.sub_offset is not None and not re.fullmatch(r"0|[1-9][0-9]*", self.sub_offset, re.ASCII):
            return True
        return numbers(self.retention) is None


def instant_of(text: str | None) -> float | None:
    """Seconds since 1970 of a date-time that the generator made; None when it is no such."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def messages(body: bytes) -> list[bytes] | None:
    """The messages of a JSON body that the generator made (no spaces); None when invalid."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    items = value if isinstance(value, list) else [value]
    return [json.dumps(item, separators=(",", ":")).encode() for item in items]


class Stream:
    """One incarnation."""

    def __init__(self, request: Request, source: Stream | None = None, position: int = 0):
        self.type = request.type or (source.type if source else "application/octet-stream")
        self.json = self.type == "application/json"
        self.inherited = bool(source) and request.ttl is None and request.expires is None
        self.ttl, self.expires = (source.ttl, source.expires) if source and self.inherited else (request.ttl, request.expires)
        # When it ends: not before the first, at the second at the latest (seconds since 1970).
        self.earliest = self.latest = math.inf
        # A deadline that the store has certainly written down.
        self.floor = -math.inf
        self.incarnation = source.incarnation if source else ""  # learned from the 201
        self.instance = ""  # learned from the first ETag
        self.units: list[bytes] = source.units[:position] if source else []
        # The positions behind each append.
        self.ends: list[int] = [end for end in source.ends if end < position] if source else []
        if position:
            self.ends.append(position)
        self.kept = Kept(numbers(request.retention) or {}, source.kept if source else None, position)
        self.source = source
        self.fork = (request.source, request.fork_offset or source.tail, int(request.sub_offset or 0)) if source else None
        self.forks = 0
        self.gone = False
        self.closed = request.closing
        self.closed_by: tuple[str, int, int] | None = None
        self.last_seq: str | None = None
        self.producers: dict[str, tuple[int, int]] = {}
        self.add(request.body)

    def add(self, body: bytes) -> None:
        units = ((messages(body) or []) if self.json else [bytes([byte]) for byte in body]) if body else []
        if units:
            self.units += units
            self.ends.append(len(self.units))

    def token(self, place: int) -> str:
        return f"{self.incarnation}_{place:016d}"

    @property
    def tail(self) -> str:
        return self.token(len(self.units))

    def content(self, start: int) -> bytes:
        if self.json:
            return b"[" + b",".join(self.units[start:]) + b"]"
        return b"".join(self.units[start:])

    def amount(self, start: int, end: int | None = None) -> tuple[int, int, int]:
        """What lies between two positions: messages (appends of a byte stream), and the least and most bytes that it is."""
        end = len(self.units) if end is None else end
        size = sum(len(unit) for unit in self.units[start:end])
        if self.json:
            # A comma or bracket each, or two where a file begins.
            return end - start, size, size + 2 * (end - start)
        return sum(start < place <= end for place in self.ends), size, size

    # 8.2

    def begin_life(self, moment: tuple[float, float]) -> None:
        """Created between two moments."""
        self.kept.note(len(self.units), moment[0])
        if self.ttl is not None:
            self.earliest, self.latest = (time + int(self.ttl) for time in moment)
        elif (instant := instant_of(self.expires)) is not None:
            self.earliest = self.latest = instant
        self.floor = self.earliest

    def touch(self, moment: tuple[float, float]) -> None:
        """Used between two moments: the deadline may be stored with 2 % of slack, a minute at most."""
        if self.ttl is not None:
            self.earliest = max(self.earliest, moment[0] + int(self.ttl))
            self.latest = max(self.latest, moment[1] + int(self.ttl) + min(int(self.ttl) / 50, 60))

    def has_expired(self, moment: tuple[float, float]) -> bool:
        assert moment[1] < self.earliest or moment[0] >= self.latest, "the machine was too slow to tell"
        return moment[0] >= self.latest

    def cache(self, moment: tuple[float, float]) -> set[str]:
        """9.1, for each second that may be left."""
        if self.ttl is not None:
            left = [int(self.ttl)]
        elif self.expires is not None:
            left = [*range(int(self.latest - moment[1]), int(self.latest - moment[0]) + 1)]
        else:
            left = [3600]
        return {f"public, max-age={min(60, n)}" + (", stale-while-revalidate=300" if n >= 360 else "") for n in left}

    # 3.1 and 11.2

    def matches(self, request: Request) -> bool:
        """The comparison table of 3.1."""
        if request.closing != self.closed or request.source != (self.fork[0] if self.fork else None):
            return False
        asked = (request.ttl, instant_of(request.expires))
        if numbers(request.retention) != self.kept.own:
            return False
        same = asked == (self.ttl, instant_of(self.expires)) or self.inherited and asked == (None, None)
        if self.fork is None:
            return (request.type or "application/octet-stream") == self.type and same
        if request.fork_offset and request.fork_offset != self.fork[1] or int(request.sub_offset or 0) != self.fork[2]:
            return False
        return request.type in (None, self.type) and same

    def fork_point(self, request: Request) -> int | Expected:
        """Rows 15 and 16: the resolved position, or the refusal."""
        token = request.fork_offset or self.tail
        place, sub = int(token.split("_")[1]), int(request.sub_offset or 0)
        if token == ZERO:
            place = self.kept.earliest
        elif place > len(self.units) or not token.startswith(self.incarnation + "_"):
            return Expected(400)
        elif place < self.kept.earliest:
            return self.cut_off()
        behind = [end for end in self.ends if end > place] or [place]
        fits = sub == 0 or place + sub <= (behind[-1] if self.json else behind[0])
        return place + sub if fits else Expected(400)

    def put_again(self, request: Request) -> Expected:
        if not self.matches(request):
            return Expected(409)
        headers = {"stream-next-offset": self.tail}
        if self.closed:
            headers["stream-closed"] = "true"
        return Expected(200, headers, type=self.type)

    # 3.2

    def post(self, request: Request) -> Expected:
        if not request.body and not request.closing:
            return Expected(400)
        if not request.body:
            return self.close_only(request)
        if request.type is None:
            return Expected(400)
        if self.closed:
            if request.producer and request.producer == self.closed_by:
                return self.done(204, request.producer[1:], closed=True)
            return self.refuse_closed()
        if request.type != self.type:
            return Expected(409)
        if refused := self.judge_producer(request):
            return refused
        if request.seq and self.last_seq is not None and request.seq <= self.last_seq:
            return Expected(409)
        if self.json and not messages(request.body):
            return Expected(400)
        self.add(request.body)
        if request.seq:
            self.last_seq = request.seq
        return self.commit(request, 200 if request.producer else 204)

    def close_only(self, request: Request) -> Expected:
        if request.producer is None:
            self.closed = True
            return self.done(204, None, closed=True)
        if self.closed:
            return self.done(204, request.producer[1:], closed=True) if request.producer == self.closed_by else self.refuse_closed()
        return self.judge_producer(request) or self.commit(request, 204)

    def judge_producer(self, request: Request) -> Expected | None:
        if request.producer is None:
            return None
        id, epoch, seq = request.producer
        if id not in self.producers:
            return None if seq == 0 else self.gap(0, seq)
        stored, highest = self.producers[id]
        if epoch < stored:
            return Expected(403, {"producer-epoch": str(stored)})
        if epoch > stored:
            return None if seq == 0 else Expected(400)
        if seq <= highest:
            return self.done(204, (epoch, highest), closed=False)
        return None if seq == highest + 1 else self.gap(highest + 1, seq)

    def gap(self, expected: int, received: int) -> Expected:
        return Expected(409, {"producer-expected-seq": str(expected), "producer-received-seq": str(received)})

    def commit(self, request: Request, status: int) -> Expected:
        if request.producer:
            self.producers[request.producer[0]] = request.producer[1:]
        if request.closing:
            self.closed, self.closed_by = True, request.producer
        return self.done(status, request.producer[1:] if request.producer else None, closed=request.closing)

    def done(self, status: int, tuple_: tuple[int, ...] | None, closed: bool) -> Expected:
        headers = {"stream-next-offset": self.tail}
        if closed:
            headers["stream-closed"] = "true"
        if tuple_:
            headers |= {"producer-epoch": str(tuple_[0]), "producer-seq": str(tuple_[1])}
        return Expected(status, headers)

    def refuse_closed(self) -> Expected:
        return Expected(409, {"stream-closed": "true", "stream-next-offset": self.tail}, code="STREAM_CLOSED")

    # 3.4 and 3.5 row 1-3

    def get(self, offset: str | None, etags: list[str], live: bool, moment: tuple[float, float]) -> Expected:
        """A catch-up read, or a long-poll that need not wait."""
        if offset == "now":
            headers = {"stream-next-offset": self.tail, "stream-up-to-date": "true"}
            if self.closed:
                headers["stream-closed"] = "true"
            if live:
                return Expected(204, headers, cache={"no-store"})
            return Expected(200, headers, b"[]" if self.json else b"", self.type, {"no-store"})
        cut: dict[str, str] = {}
        if offset in (None, "-1", ZERO):
            start, shown = self.kept.earliest, "-1"
            if start:
                # What is kept begins later than the stream did.
                shown = self.token(start)
                cut = {"stream-earliest-offset": shown}
        elif not offset.startswith(self.incarnation + "_"):
            return Expected(410, code="OFFSET_GONE")
        else:
            start, shown = int(offset.split("_")[1]), offset
            if start < self.kept.earliest:
                return self.cut_off()
        headers = {"stream-next-offset": self.tail, "stream-up-to-date": "true"}
        if self.closed:
            headers["stream-closed"] = "true"
        if live and self.closed and start == len(self.units):
            return Expected(204, headers, cache={"no-store"}, optional=cut)
        headers |= cut
        units = start < len(self.units)
        cache = self.cache(moment) if units or self.closed else {"no-store"}
        etag = f'"{self.instance}:{shown}:{self.tail}{":c" if self.closed else ""}"'
        headers["etag"] = etag
        if live:
            headers["stream-cursor"] = "*"
        if self.instance and (etag in etags or "*" in etags):
            return Expected(304, headers, cache=cache)
        return Expected(200, headers, self.content(start), self.type, cache)

    def cut_off(self) -> Expected:
        """A position before what is kept."""
        return Expected(410, {"stream-earliest-offset": self.token(self.kept.earliest)}, code="OFFSET_GONE")

    def head(self) -> Expected:
        headers = {"stream-next-offset": self.tail}
        if self.closed:
            headers["stream-closed"] = "true"
        if self.ttl is not None:
            headers["stream-ttl"] = self.ttl
        if self.expires is not None:
            headers["stream-expires-at"] = self.expires
        headers |= self.kept.shown(self.token(self.kept.earliest))
        return Expected(200, headers, type=self.type, cache={"no-store"})
