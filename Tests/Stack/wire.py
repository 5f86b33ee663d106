"""A raw HTTP/1.1 client: the bytes that go out are exactly the bytes a test wrote.

Nothing is normalised, so that paths, header lines and framing which ordinary
clients refuse to send reach the server as they are.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass, field

DEFAULT_TIMEOUT = 15.0

Headers = list[tuple[str, str]]


class ConnectionClosed(Exception):
    """The peer closed, reset or stalled before a whole response had arrived."""


@dataclass
class Response:
    """One response; `headers` keeps order, spelling and repetitions."""

    status: int
    headers: Headers
    body: bytes = b""
    reason: str = ""
    head: bytes = field(default=b"", repr=False)

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a header that may appear at most once."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} appears {len(values)} times: {values}"
        return values[0] if values else None

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    @property
    def offset(self) -> str:
        """`Stream-Next-Offset`, which the caller expects to be there."""
        value = self.get("Stream-Next-Offset")
        assert value is not None, f"no Stream-Next-Offset on {self.describe()}"
        return value

    def describe(self) -> str:
        lines = [f"{self.status} {self.reason}"]
        lines += [f"  {key}: {value}" for key, value in self.headers]
        return "\n".join(lines) + f"\n  body: {self.body[:300]!r}"


def encode(text: str | bytes) -> bytes:
    """Header text as bytes: UTF-8 for str, untouched for bytes."""
    return text if isinstance(text, bytes) else text.encode("utf-8")


def build_request(
    method: str | bytes,
    target: str | bytes,
    headers: list[tuple[str | bytes, str | bytes]] | None = None,
    body: bytes | None = None,
    *,
    host: str = "127.0.0.1",
    chunks: list[bytes] | None = None,
) -> bytes:
    """The bytes of one request; `chunks` frames the body with chunked coding."""
    lines = [encode(method) + b" " + encode(target) + b" HTTP/1.1"]
    given = list(headers or [])
    names = {encode(key).lower() for key, _ in given}
    if b"host" not in names:
        lines.append(b"Host: " + encode(host))
    lines += [encode(key) + b": " + encode(value) for key, value in given]
    if chunks is not None:
        lines.append(b"Transfer-Encoding: chunked")
        framed = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks if c)
        return b"\r\n".join(lines) + b"\r\n\r\n" + framed + b"0\r\n\r\n"
    if body is not None and b"content-length" not in names:
        lines.append(b"Content-Length: %d" % len(body))
    elif body is None and encode(method) in (b"PUT", b"POST") and b"content-length" not in names:
        lines.append(b"Content-Length: 0")
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


class Connection:
    """One TCP connection with a read buffer."""

    def __init__(self, port: int, host: str = "127.0.0.1", timeout: float = DEFAULT_TIMEOUT):
        self.host, self.port, self.timeout = host, port, timeout
        try:
            self.socket = socket.create_connection((host, port), timeout=timeout)
        except OSError as error:
            raise ConnectionClosed(f"connect: {error}") from error
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.closed_by_peer = False

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise ConnectionClosed(f"send: {error}") from error

    def quiet_for(self, seconds: float) -> bool:
        """True when nothing arrives (and the peer does not close) within the time."""
        if self.buffer:
            return False
        readable, _, _ = select.select([self.socket], [], [], seconds)
        return not readable

    def fill(self) -> bool:
        """Read once into the buffer; False at the end of the stream."""
        try:
            data = self.socket.recv(65536)
        except OSError as error:
            raise ConnectionClosed(f"recv: {error!r}") from error
        if not data:
            self.closed_by_peer = True
            return False
        self.buffer += data
        return True

    def take_until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            if not self.fill():
                raise ConnectionClosed(f"end of stream before {mark!r}; held {self.buffer[:200]!r}")
        taken, self.buffer = self.buffer.split(mark, 1)
        return taken

    def take(self, count: int) -> bytes:
        pieces, missing = [], count
        while missing:
            if not self.buffer and not self.fill():
                raise ConnectionClosed(f"end of stream, {missing} of {count} bytes missing")
            piece, self.buffer = self.buffer[:missing], self.buffer[missing:]
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def read_head(self) -> Response:
        head = self.take_until(b"\r\n\r\n")
        first, *rest = head.split(b"\r\n")
        assert first.startswith(b"HTTP/1."), f"not a status line: {first!r}"
        parts = first.decode("latin-1").split(" ", 2)
        headers: Headers = []
        for line in rest:
            name, colon, value = line.decode("latin-1").partition(":")
            assert colon and name == name.strip(), f"bad header line {line!r}"
            headers.append((name, value.strip(" \t")))
        return Response(int(parts[1]), headers, b"", parts[2] if len(parts) > 2 else "", head)

    def chunks(self):
        """Yield the chunks of a chunked body until its last one."""
        while True:
            size = int(self.take_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                trailer = self.take_until(b"\r\n")
                assert trailer == b"", f"unexpected trailer {trailer!r}"
                return
            chunk = self.take(size)
            assert self.take(2) == b"\r\n", "chunk does not end in CRLF"
            yield chunk

    def read_response(self, method: str | bytes = "GET") -> Response:
        response = self.read_head()
        while 100 <= response.status < 200:
            response = self.read_head()
        if encode(method) == b"HEAD" or response.status in (204, 304):
            return response
        if (response.get("Transfer-Encoding") or "").lower() == "chunked":
            response.body = b"".join(self.chunks())
        elif (length := response.get("Content-Length")) is not None:
            response.body = self.take(int(length))
        else:
            while self.fill():
                pass
            response.body, self.buffer = self.buffer, b""
        return response

    def exchange(
        self,
        method: str | bytes,
        target: str | bytes,
        headers: list[tuple[str | bytes, str | bytes]] | None = None,
        body: bytes | None = None,
        *,
        chunks: list[bytes] | None = None,
    ) -> Response:
        """Send one request on this connection and read its response."""
        host = f"{self.host}:{self.port}"
        self.send(build_request(method, target, headers, body, host=host, chunks=chunks))
        return self.read_response(method)

    def at_end(self, within: float = DEFAULT_TIMEOUT) -> bool:
        """True when the peer closes within the time without another byte."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if self.buffer:
                return False
            if not self.quiet_for(max(0.0, deadline - time.monotonic())):
                try:
                    if not self.fill():
                        return True
                except ConnectionClosed:
                    return True
        return False
