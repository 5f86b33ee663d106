"""A stream in memory: the decision tables of 3.1, 3.2 and 3.4 in the simplest form that can be right."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

ZERO = "0000000000000000_0000000000000000"


@dataclass
class Expected:
    """What an answer has to be: `headers` are all headers of 4.2 it carries."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = b""
    type: str | None = None
    cache: str | None = None
    code: str | None = None


@dataclass
class Request:
    type: str | None = None
    body: bytes = b""
    closing: bool = False
    ttl: str | None = None
    producer: tuple[str, int, int] | None = None
    seq: str | None = None


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

    def __init__(self, request: Request):
        self.type = request.type or "application/octet-stream"
        self.json = self.type == "application/json"
        self.ttl = request.ttl
        self.incarnation = ""  # learned from the 201
        self.instance = ""  # learned from the first ETag
        self.units: list[bytes] = []
        self.closed = request.closing
        self.closed_by: tuple[str, int, int] | None = None
        self.last_seq: str | None = None
        self.producers: dict[str, tuple[int, int]] = {}
        self.add(request.body)

    def add(self, body: bytes) -> None:
        if not body:
            return
        self.units += (messages(body) or []) if self.json else [bytes([byte]) for byte in body]

    def token(self, place: int) -> str:
        return f"{self.incarnation}_{place:016d}"

    @property
    def tail(self) -> str:
        return self.token(len(self.units))

    def content(self, start: int) -> bytes:
        if self.json:
            return b"[" + b",".join(self.units[start:]) + b"]"
        return b"".join(self.units[start:])

    # 3.1

    def put_again(self, request: Request) -> Expected:
        same = (request.type or "application/octet-stream") == self.type and request.ttl == self.ttl and request.closing == self.closed
        if not same:
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

    def get(self, offset: str | None, etags: list[str], live: bool) -> Expected:
        """A catch-up read, or a long-poll that need not wait."""
        if offset == "now":
            headers = {"stream-next-offset": self.tail, "stream-up-to-date": "true"}
            if self.closed:
                headers["stream-closed"] = "true"
            if live:
                return Expected(204, headers, cache="no-store")
            return Expected(200, headers, b"[]" if self.json else b"", self.type, "no-store")
        if offset in (None, "-1", ZERO):
            start, shown = 0, "-1"
        elif not offset.startswith(self.incarnation + "_"):
            return Expected(410, code="OFFSET_GONE")
        else:
            start, shown = int(offset.split("_")[1]), offset
        headers = {"stream-next-offset": self.tail, "stream-up-to-date": "true"}
        if self.closed:
            headers["stream-closed"] = "true"
        if live and self.closed and start == len(self.units):
            return Expected(204, headers, cache="no-store")
        units = start < len(self.units)
        cache = "public, max-age=60, stale-while-revalidate=300" if units or self.closed else "no-store"
        etag = f'"{self.instance}:{shown}:{self.tail}{":c" if self.closed else ""}"'
        headers["etag"] = etag
        if live:
            headers["stream-cursor"] = "*"
        if self.instance and (etag in etags or "*" in etags):
            return Expected(304, headers, cache=cache)
        return Expected(200, headers, self.content(start), self.type, cache)

    def head(self) -> Expected:
        headers = {"stream-next-offset": self.tail}
        if self.closed:
            headers["stream-closed"] = "true"
        if self.ttl:
            headers["stream-ttl"] = self.ttl
        return Expected(200, headers, type=self.type, cache="no-store")
