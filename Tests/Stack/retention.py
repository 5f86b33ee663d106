"""What tests of retention share: its headers on an answer, streams of numbered parts, and time that goes by."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing

from checks import EXPOSED, check_error, check_fixed
from client import Client, at, expect, incarnation, position
from hooks import Hooks
from stack import Stack
from store import wait_until
from wire import Response

EARLIEST = "Stream-Earliest-Offset"
LIMITS = ("Stream-Retention-Age", "Stream-Retention-Bytes", "Stream-Retention-Messages")
NAMES = (EARLIEST, *LIMITS)
LARGEST = "9007199254740991"
DAY = "86400"


def split(answer: Response) -> tuple[Response, dict[str, str]]:
    """An answer as it would be without retention, and the headers of retention; where there are any, all are exposed."""
    found = {name: value for name in NAMES if (value := answer.get(name)) is not None}
    headers = [(name, value) for name, value in answer.headers if name.lower() not in {known.lower() for known in NAMES}]
    if found:
        exposed = ", ".join([EXPOSED, *NAMES])
        assert answer.all("Access-Control-Expose-Headers") == [exposed], answer.describe()
        headers = [(name, EXPOSED if value == exposed else value) for name, value in headers]
    return dataclasses.replace(answer, headers=headers), found


def shown(http: Client, path: str) -> dict[str, str]:
    """What HEAD says of retention."""
    rest, found = split(expect(http.head(path), 200))
    check_fixed(rest)
    return found


def check_cut_off(answer: Response, earliest: str) -> None:
    """410, and where what is kept begins."""
    rest, found = split(answer)
    check_error(rest, 410, "OFFSET_GONE")
    assert found == {EARLIEST: earliest}, answer.describe()


def select(stack: Stack, question: str, *values: object) -> list[tuple]:
    """Rows straight from the store."""
    with closing(sqlite3.connect(f"file:{stack.data_dir}/hot.sqlite?mode=ro", uri=True, timeout=5)) as store:
        return store.execute(question, values).fetchall()


def segments(stack: Stack, path: str) -> list[tuple]:
    """Start, end, tier and appends of a stream's segments, in order; also of those that only forks can read."""
    question = "SELECT start, end, tier, appends FROM segment WHERE stream = (SELECT id FROM stream WHERE name = ?) ORDER BY start"
    return select(stack, question, f"_default/{path}")


class Log:
    """A stream of numbered parts, all of one size: each an append, or a message of a JSON stream."""

    def __init__(self, http: Client, path: str, kind: str = "bytes", size: int = 8, **extra: str):
        self.http, self.path, self.kind, self.size = http, path, kind, size
        self.type = "application/json" if kind == "json" else "text/plain"
        self.parts: list[bytes] = []
        self.inherited = 0
        self.origin = http.create(path, self.type, **extra).offset

    def next_part(self, letter: bytes = b"p") -> bytes:
        return b'"%s%0*d"' % (letter, self.size - 3, len(self.parts))

    def append(self, count: int = 1, letter: bytes = b"p", **extra: str) -> None:
        for _ in range(count):
            part = self.next_part(letter)
            self.http.append(self.path, self.type, part, **extra)
            self.parts.append(part)

    def place(self, parts: int) -> int:
        """The position behind so many parts."""
        return parts if self.kind == "json" else parts * self.size

    def token(self, parts: int | None = None) -> str:
        return at(self.origin, self.place(len(self.parts) if parts is None else parts))

    def content(self, first: int = 0) -> bytes:
        """As `read` gives it."""
        return (b"," if self.kind == "json" else b"").join(self.parts[first:])

    def gone(self) -> int:
        """How many parts have gone, as HEAD tells: whole ones."""
        token = shown(self.http, self.path).get(EARLIEST, self.token(0))
        assert incarnation(token) == incarnation(self.origin)
        parts, rest = divmod(position(token), self.place(1))
        assert rest == 0, f"{token} is inside a part"
        return parts

    def read(self, query: str = "", headers: dict[str, str] | None = None) -> tuple[Response, bytes]:
        """The first piece and all that the pieces hold, an array's brackets left out; only a start tells of a cut."""
        first = answer = expect(self.http.get(self.path, query, **headers or {}), 200)
        pieces = [answer.body]
        while "Stream-Up-To-Date" not in answer:
            answer = expect(self.http.get(self.path, f"offset={answer.offset}"), 200)
            assert split(answer)[1] == {}, answer.describe()
            pieces.append(answer.body)
        if self.kind == "json":
            return first, b",".join(piece[1:-1] for piece in pieces if piece != b"[]")
        return first, b"".join(pieces)


def wait_cold(stack: Stack, *logs: Log) -> None:
    """Until all that was appended is in segments or gone, and nothing is on its way there."""
    question = """
        SELECT name, max(earliest, ifnull((SELECT max(end) FROM segment WHERE segment.stream = stream.id), 0)) FROM stream
        WHERE NOT EXISTS (SELECT 1 FROM rotation)
        """
    wanted = {(f"_default/{log.path}", log.place(len(log.parts))) for log in logs}
    wait_until(stack, lambda: wanted <= set(select(stack, question)), "everything is in segments")


def grow(stack: Stack, log: Log, count: int, letter: bytes = b"p") -> None:
    """So many parts more, in segments of two."""
    for _ in range(count // 2):
        log.append(2, letter)
        wait_cold(stack, log)


def is_quiet(stack: Stack, hooks: Hooks) -> bool:
    """Nothing moves into segments, and no stream is waiting to be looked at."""
    question = "SELECT (SELECT count(*) FROM rotation) + (SELECT count(*) FROM stream WHERE retention_due <= ?)"
    return select(stack, question, int(hooks.now() * 1000)) == [(0,)]


def pass_time(stack: Stack, hooks: Hooks, seconds: float) -> None:
    """Time goes on, and the server has seen it."""
    hooks.advance(seconds)
    wait_until(stack, lambda: is_quiet(stack, hooks), "the server has looked at what is old")


def let_age(stack: Stack, hooks: Hooks, age: int, *logs: Log) -> None:
    """A quarter of the age after the other, until nothing is left."""
    for _ in range(7):
        pass_time(stack, hooks, age / 4 + 1)
        if all(log.gone() == len(log.parts) for log in logs):
            return
    raise AssertionError(f"kept: {[(log.path, log.gone(), len(log.parts)) for log in logs]}")
