"""A test's view of one stack: requests over one keep-alive connection, and stream names."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone

from stack import Stack
from wire import Connection, ConnectionClosed, Response

_names = itertools.count(1)

ROOT = "/v1/stream"
ZERO = "0000000000000000_0000000000000000"
NINES = "9999999999999999_9999999999999999"


def unique(prefix: str = "t") -> str:
    """A relative stream path no other test uses."""
    return f"{prefix}/{os.getpid()}-{next(_names)}"


class Client:
    """Sends requests as given; opens a new connection when the old one was closed."""

    def __init__(self, stack: Stack, timeout: float = 15.0):
        self.stack, self.timeout = stack, timeout
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            self._connection = self.stack.connect(self.timeout)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(
        self,
        method: str | bytes,
        target: str | bytes,
        headers: Iterable[tuple[str | bytes, str | bytes]] | dict[str, str] = (),
        body: bytes | str | None = None,
        chunks: list[bytes] | None = None,
    ) -> Response:
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        data = body.encode() if isinstance(body, str) else body
        try:
            response = self.connection.exchange(method, target, pairs, data, chunks=chunks)
        except ConnectionClosed:
            self.close()
            raise
        if (response.get("Connection") or "").lower() == "close" or self.connection.closed_by_peer:
            self.close()
        return response

    # Short forms; `path` is relative to the stream root.

    def put(self, path: str, type: str | None = None, body: bytes | str | None = None, /, **extra: str) -> Response:
        return self.request("PUT", url(path), fields(type, extra), body)

    def post(self, path: str, type: str | None = None, body: bytes | str | None = None, /, **extra: str) -> Response:
        return self.request("POST", url(path), fields(type, extra), body)

    def get(self, path: str, query: str = "", /, **extra: str) -> Response:
        return self.request("GET", url(path, query), fields(None, extra))

    def head(self, path: str) -> Response:
        return self.request("HEAD", url(path))

    def delete(self, path: str) -> Response:
        return self.request("DELETE", url(path))

    def create(self, path: str, type: str | None = None, body: bytes | str | None = None, /, **extra: str) -> Response:
        """PUT that has to make a new stream."""
        return expect(self.put(path, type, body, **extra), 201)

    def put_fork(self, path: str, source: str, type: str | None = None, body: bytes | str | None = None, /, **extra: str) -> Response:
        """PUT with `Stream-Forked-From`; `source` is relative to the stream root.

        Keywords `at` and `sub` are short for the fork offset and sub-offset.
        """
        for short, name in (("at", "Stream_Fork_Offset"), ("sub", "Stream_Fork_Sub_Offset")):
            if short in extra:
                extra[name] = extra.pop(short)
        return self.put(path, type, body, Stream_Forked_From=url(source), **extra)

    def fork(self, path: str, source: str, type: str | None = None, body: bytes | str | None = None, /, **extra: str) -> Response:
        """PUT that has to make a new fork."""
        return expect(self.put_fork(path, source, type, body, **extra), 201)

    def append(self, path: str, type: str, body: bytes | str, /, **extra: str) -> Response:
        """POST that has to succeed."""
        status = 200 if "Producer_Id" in extra else 204
        return expect(self.post(path, type, body, **extra), status)

    def read_all(self, path: str, offset: str = "-1") -> tuple[bytes, Response]:
        """Catch up piece by piece; byte streams only. Returns the bytes and the last response."""
        pieces = []
        while True:
            response = expect(self.get(path, f"offset={offset}"), 200)
            pieces.append(response.body)
            if "Stream-Up-To-Date" in response:
                return b"".join(pieces), response
            assert response.offset > offset or offset == "-1", "a cut chunk has to advance"
            offset = response.offset


def url(path: str, query: str = "") -> str:
    return f"{ROOT}/{path}" + (f"?{query}" if query else "")


def fields(type: str | None, extra: dict[str, str]) -> list[tuple[str, str]]:
    """Header list from keyword arguments: `Stream_Closed="true"` is `Stream-Closed: true`."""
    head = [("Content-Type", type)] if type is not None else []
    return head + [(key.replace("_", "-"), value) for key, value in extra.items()]


def expect(response: Response, status: int) -> Response:
    assert response.status == status, f"expected {status}, got {response.describe()}"
    return response


def position(token: str) -> int:
    """P of an offset token (2.2)."""
    return int(token.split("_")[1])


def incarnation(token: str) -> int:
    """R of an offset token (2.2)."""
    return int(token.split("_")[0])


def at(token: str, place: int) -> str:
    """The token of the same incarnation at another position."""
    return f"{token.split('_')[0]}_{place:016d}"


def instant(seconds: float) -> str:
    """An RFC 3339 date-time so many seconds from now."""
    when = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def producer(name: str, epoch: int | str, seq: int | str) -> dict[str, str]:
    """Keyword arguments for the producer trio."""
    return {"Producer_Id": name, "Producer_Epoch": str(epoch), "Producer_Seq": str(seq)}


def pieces(client: Client, path: str, start: str = "-1") -> Iterator[bytes]:
    """The bodies of all answers from `start` to the tail."""
    offset = start
    while True:
        answer = expect(client.get(path, f"offset={offset}"), 200)
        yield answer.body
        if "Stream-Up-To-Date" in answer:
            return
        assert answer.offset > offset or offset == "-1", "a cut piece has to advance"
        offset = answer.offset


def read_lines(client: Client, path: str) -> list[str]:
    """The lines of a stream, once somebody is there to give them."""
    deadline = time.monotonic() + 20
    while True:
        try:
            content, _ = client.read_all(path)
            return content.decode().splitlines()
        except (ConnectionClosed, AssertionError):
            if time.monotonic() > deadline:
                raise
            client.close()
            time.sleep(0.05)
