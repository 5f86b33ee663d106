"""FastCGI requests straight to the pool's socket, as nginx sends them: to count what the pool does, and nothing beside it."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from wire import ConnectionClosed

_BEGIN, _END, _PARAMS, _STDIN, _STDOUT = 1, 3, 4, 5, 6
_HEAD = struct.Struct(">BBHHBx")


def _record(kind: int, content: bytes) -> bytes:
    padding = -len(content) % 8
    return _HEAD.pack(1, kind, 1, len(content), padding) + content + bytes(padding)


def _length(count: int) -> bytes:
    return bytes([count]) if count < 128 else struct.pack(">I", count | 0x80000000)


def _parameters(pairs: list[tuple[str, str]]) -> bytes:
    return b"".join(_length(len(name)) + _length(len(value)) + name.encode() + value.encode() for name, value in pairs)


def request(method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """The records of one request on a kept connection; the parameters are those of durable-streams-{fastcgi,request}.conf."""
    headers = headers or {}
    length = str(len(body)) if body or method == "POST" else ""
    pairs = [
        ("REQUEST_METHOD", method),
        ("REQUEST_URI", target),
        ("REQUEST_SCHEME", "http"),
        ("DS_REQUEST_ID", "0123456789abcdef0123456789abcdef"),
        ("DS_ORIGIN", ""),
        ("CONTENT_TYPE", headers.get("Content-Type", "")),
        ("CONTENT_LENGTH", length),
        ("DS_IF_NONE_MATCH", headers.get("If-None-Match", "")),
        ("DS_UNCACHED", "0" if method == "GET" else "1"),
        ("DS_TAKES_FILES", "1" if method == "GET" else "0"),
        ("HTTP_HOST", "127.0.0.1:4437"),
    ]
    if length:
        pairs.append(("HTTP_CONTENT_LENGTH", length))
    for name, value in headers.items():
        # nginx strips the client's conditions where it may answer from its cache.
        if name != "If-None-Match":
            pairs.append(("HTTP_" + name.upper().replace("-", "_"), value))
    return (
        _record(_BEGIN, b"\0\1\1\0\0\0\0\0")
        + _record(_PARAMS, _parameters(pairs))
        + _record(_PARAMS, b"")
        + (_record(_STDIN, body) if body else b"")
        + _record(_STDIN, b"")
    )


class PoolConnection:
    """One kept connection to the pool; it takes one request after another."""

    def __init__(self, path: Path, timeout: float = 60.0):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.buffer = b""

    def close(self) -> None:
        self.socket.close()

    def send(self, records: bytes) -> None:
        self.socket.sendall(records)

    def receive(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case and body of the next answer."""
        output = b""
        while True:
            kind, content = self._next()
            if kind == _STDOUT:
                output += content
            elif kind == _END:
                head, _, body = output.partition(b"\r\n\r\n")
                lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
                headers = {name.lower(): value for name, value in lines}
                return int(headers["status"].split()[0]), headers, body

    def exchange(self, records: bytes) -> tuple[int, dict[str, str], bytes]:
        self.send(records)
        return self.receive()

    def _next(self) -> tuple[int, bytes]:
        _, kind, _, length, padding = _HEAD.unpack(self._take(8))
        return kind, self._take(length + padding)[:length]

    def _take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not (got := self.socket.recv(65536)):
                raise ConnectionClosed("the pool has closed the connection")
            self.buffer += got
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken
